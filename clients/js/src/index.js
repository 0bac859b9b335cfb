/** Client of the IOPaint text removal service, for Node 20 and later and for browsers. */

export { Batch, Client, Task } from "./client.js";
export * from "./errors.js";
export { Picture } from "./pictures.js";
export { verifyWebhook } from "./webhooks.js";
