/** The request on the page as a program of one's own. */

/**
 * `request`: base, fileName, regions (null: a mask; empty: the service finds the text), options, asTask, withKey.
 */
export function program(language, request) {
  const kind = request.regions === null ? "mask" : request.regions.length > 0 ? "regions" : "text";
  const target = `clean.${request.options.output_format ?? "png"}`;
  return { curl, python, javascript }[language]({ ...request, kind, target });
}

const PATHS = { mask: "inpaint", regions: "inpaint-regions", text: "remove-text" };
const TASK_PATHS = { mask: "inpaint-batch", regions: "inpaint-regions-async", text: "remove-text-async" };

function curl({ base, fileName, kind, regions, options, asTask, withKey, target }) {
  const key = withKey ? ' -H "Authorization: Bearer $API_KEY"' : "";
  const whole = asTask && kind === "mask";
  const lines = [`curl -sSf${key} ${base}api/v1/${(asTask ? TASK_PATHS : PATHS)[kind]}`];
  // In what -F takes, ";" and "," have a meaning, and in a text "@" and "<" at its beginning.
  const said = (field, value) => lines.push(`--form-string ${shell(`${field}=${value}`)}`);
  lines.push(`-F ${shell(`image${whole ? "_0" : ""}=@"${fileName.replace(/["\\]/g, "\\$&")}"`)}`);
  if (kind === "mask") lines.push(`-F mask${whole ? "_0" : ""}=@mask.png`);
  if (kind === "regions") said("regions", JSON.stringify(regions));
  if (whole) said("items", JSON.stringify([options]));
  else for (const [name, value] of Object.entries(options)) said(name, value);
  if (!asTask) return [...lines, `-o ${target}`].join(" \\\n  ");
  const field = whole ? "batch_id" : "task_id";
  const submit = `id=$(${lines.join(" \\\n  ")} |\n  sed 's/.*"${field}":"\\([^"]*\\)".*/\\1/')`;
  const retries = "--retry 300 --retry-delay 1 --retry-all-errors";
  const result = `${base}api/v1/task-result/$id${whole ? ".0" : ""}`;
  return `${submit}\n# 409 until it has ended\ncurl -sf${key} ${retries} \\\n  ${result} -o ${target}`;
}

function python({ base, fileName, kind, regions, options, asTask, withKey, target }) {
  const name = JSON.stringify(fileName);
  const given = Object.entries(options).map(([key, value]) => `, ${key}=${JSON.stringify(value)}`).join("");
  const key = withKey ? ', api_key=os.environ["API_KEY"]' : "";
  const work = { mask: `${name}, "mask.png"`, regions: `${name}, ${JSON.stringify(regions)}`, text: name }[kind];
  const whole = asTask && kind === "mask";
  const show = (what) => [`for update in ${what}:`, "    print(update.status, update.progress)"];
  const body = whole
    ? [
        `batch = client.submit_batch([BatchItem(${name}, mask="mask.png")]${given})`,
        ...show("batch"), "for task, picture in batch.results():", `    picture.save("${target}")`,
      ]
    : asTask
      ? [`task = client.submit(${work}${given})`, ...show("task"), `task.result().save("${target}")`]
      : [`picture = client.${kind === "mask" ? "inpaint" : "remove_text"}(${work}${given})`, `picture.save("${target}")`];
  const imports = `from iopaint_client import ${whole ? "BatchItem, " : ""}Client`;
  const head = [...(withKey ? ["import os", ""] : []), imports, "", `with Client(${JSON.stringify(base)}${key}) as client:`];
  return [...head, ...body.map((line) => `    ${line}`)].join("\n");
}

function javascript({ base, fileName, kind, regions, options, asTask, withKey, target }) {
  const name = JSON.stringify(fileName);
  const given = Object.keys(options).length > 0 ? `, ${JSON.stringify(options)}` : "";
  const key = withKey ? ", { apiKey: process.env.API_KEY }" : "";
  const last = kind === "text" ? (given ? `undefined${given}` : "") : (kind === "mask" ? '"mask.png"' : JSON.stringify(regions)) + given;
  const work = last ? `${name}, ${last}` : name;
  const follow = (what) => `for await (const update of ${what}) console.log(update.status, update.progress);`;
  const lines = ['import { Client } from "iopaint-client";', "", `const client = new Client(${JSON.stringify(base)}${key});`];
  if (asTask && kind === "mask") {
    lines.push(`const batch = await client.submitBatch([{ image: ${name}, mask: "mask.png" }]${given});`, follow("batch"));
    lines.push(`for await (const { picture } of batch.results()) await picture.save("${target}");`);
  } else if (asTask) {
    lines.push(`const task = await client.submit(${work});`, follow("task"));
    lines.push(`await (await task.result()).save("${target}");`);
  } else {
    lines.push(`const picture = await client.${kind === "mask" ? "inpaint" : "removeText"}(${work});`);
    lines.push(`await picture.save("${target}");`);
  }
  return lines.join("\n");
}

const shell = (given) => `'${given.replaceAll("'", "'\\''")}'`;
