/** The request on the page as a program of one's own. */

/** `request`: base, fileName, regions or null (a mask), options, asTask, withKey. */
export function program(language, request) {
  return { curl, python, javascript }[language](request);
}

function curl({ base, fileName, regions, options, asTask, withKey }) {
  const path = regions === null ? "inpaint" : asTask ? "inpaint-regions-async" : "inpaint-regions";
  const lines = [`curl -f ${base}api/v1/${path}`];
  if (withKey) lines.push('-H "Authorization: Bearer $API_KEY"');
  lines.push(`-F ${shell(`image=@${fileName}`)}`);
  lines.push(regions === null ? "-F mask=@mask.png" : `-F ${shell(`regions=${JSON.stringify(regions)}`)}`);
  for (const [name, value] of Object.entries(options)) lines.push(`-F ${shell(`${name}=${value}`)}`);
  if (path !== "inpaint-regions-async") lines.push(`-o clean.${options.output_format}`);
  return lines.join(" \\\n  ");
}

function python({ base, fileName, regions, options, asTask, withKey }) {
  const name = JSON.stringify(fileName);
  const given = Object.entries(options).map(([key, value]) => `, ${key}=${JSON.stringify(value)}`).join("");
  const key = withKey ? ', api_key=os.environ["API_KEY"]' : "";
  const save = `save("clean.${options.output_format}")`;
  const lines = [...(withKey ? ["import os", ""] : []), "from iopaint_client import BatchItem, Client", ""];
  lines.push(`with Client(${JSON.stringify(base)}${key}) as client:`);
  if (asTask && regions === null) {
    lines.push(`    batch = client.submit_batch([BatchItem(${name}, mask="mask.png")]${given})`);
    lines.push("    for update in batch:", "        print(update.status, update.progress)");
    lines.push("    for task, picture in batch.results():", `        picture.${save}`);
    return lines.join("\n");
  }
  lines[lines.indexOf("from iopaint_client import BatchItem, Client")] = "from iopaint_client import Client";
  const work = regions === null ? `${name}, "mask.png"` : `${name}, ${JSON.stringify(regions)}`;
  if (asTask) {
    lines.push(`    task = client.submit(${work}${given})`);
    lines.push("    for update in task:", "        print(update.status, update.progress)");
    lines.push(`    task.result().${save}`);
  } else {
    lines.push(`    picture = client.${regions === null ? "inpaint" : "remove_text"}(${work}${given})`);
    lines.push(`    picture.${save}`);
  }
  return lines.join("\n");
}

function javascript({ base, fileName, regions, options, asTask, withKey }) {
  const name = JSON.stringify(fileName);
  const given = JSON.stringify(options);
  const key = withKey ? ", { apiKey: process.env.API_KEY }" : "";
  const save = `save("clean.${options.output_format}")`;
  const lines = ['import { Client } from "iopaint-client";', "", `const client = new Client(${JSON.stringify(base)}${key});`];
  const follow = (what) => `for await (const update of ${what}) console.log(update.status, update.progress);`;
  if (asTask && regions === null) {
    lines.push(`const batch = await client.submitBatch([{ image: ${name}, mask: "mask.png" }], ${given});`, follow("batch"));
    lines.push(`for await (const { picture } of batch.results()) await picture.${save};`);
  } else if (asTask) {
    lines.push(`const task = await client.submit(${name}, ${JSON.stringify(regions)}, ${given});`, follow("task"));
    lines.push(`await (await task.result()).${save};`);
  } else {
    const work = regions === null ? `inpaint(${name}, "mask.png"` : `removeText(${name}, ${JSON.stringify(regions)}`;
    lines.push(`const picture = await client.${work}, ${given});`, `await picture.${save};`);
  }
  return lines.join("\n");
}

const shell = (given) => `'${given.replaceAll("'", "'\\''")}'`;
