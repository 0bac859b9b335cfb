/** Ids of tasks and batches: those that the service takes stand in a URL as they are. */

const ALLOWED = /^[\w-][\w.-]*$/;
// A batch's is shorter: those of its tasks are `<batch id>.<number>`.
const MOST = { taskId: 128, batchId: 120 };

/** Not crypto.randomUUID: browsers offer it on https and localhost only. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `name`: taskId or batchId. */
export function checked(name, id) {
  if (typeof id === "string" && id.length <= MOST[name] && ALLOWED.test(id)) return id;
  const allowed = `letters, digits, ".", "_" and "-" are expected, ${MOST[name]} at most, and not "." first`;
  throw new TypeError(`${name}: ${allowed}; this is ${JSON.stringify(id)?.slice(0, 128)}`);
}
