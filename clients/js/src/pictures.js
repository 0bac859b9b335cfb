/** Images in, pictures out. */

import { newId } from "./ids.js";

// Put together, or bundlers for browsers look for it.
const files = () => import(/* webpackIgnore: true */ /* @vite-ignore */ ["node:fs", "promises"].join("/"));

/** A Blob or File, bytes, or in Node the path of a file. */
export async function blobOf(image) {
  if (image instanceof Blob) return image;
  if (image instanceof ArrayBuffer || ArrayBuffer.isView(image)) return new Blob([image]);
  if (typeof image === "string" || image instanceof URL) {
    return new Blob([await (await files()).readFile(image)]);
  }
  throw new TypeError("a Blob, bytes or, in Node, a path is expected as an image");
}

/** What the service made. `blob` is an image file of `mediaType`. */
export class Picture {
  constructor(blob, headers) {
    const seconds = headers.get("x-processing-time");
    this.blob = blob;
    this.mediaType = headers.get("content-type") ?? "";
    this.model = decodeURIComponent(headers.get("x-model") ?? "");
    this.hdStrategy = headers.get("x-hd-strategy") ?? "";
    this.processingTimeS = seconds === null ? null : Number(seconds);
    this.notes = decodeURIComponent(headers.get("x-notes") ?? "");
    this.requestId = headers.get("x-request-id") ?? "";
    this.seed = headers.has("x-seed") ? Number(headers.get("x-seed")) : null;
    this.erased = headers.get("x-erased")?.split("/").map(Number) ?? null;
  }

  async bytes() {
    return new Uint8Array(await this.blob.arrayBuffer());
  }

  /** In Node: write the file as it came, all of it or none. */
  async save(path) {
    const { lstat, rename, rm, writeFile } = await files();
    const bytes = await this.bytes();
    const old = await lstat(path).catch(() => null); // what keeps it from being looked at, writing tells
    if (old && !old.isFile()) {
      await writeFile(path, bytes); // a link or a device stays what it is
      return path;
    }
    const beside = `${path}.${newId()}.part`;
    const part = path instanceof URL ? new URL(beside) : beside;
    try {
      await writeFile(part, bytes);
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
    return path;
  }
}
