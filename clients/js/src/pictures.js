/** Images in, pictures out. */

/** A Blob or File, bytes, or in Node the path of a file. */
export async function blobOf(image) {
  if (image instanceof Blob) return image;
  if (image instanceof ArrayBuffer || ArrayBuffer.isView(image)) return new Blob([image]);
  if (typeof image === "string" || image instanceof URL) {
    const { readFile } = await import("node:fs/promises");
    return new Blob([await readFile(image)]);
  }
  throw new TypeError("a Blob, bytes or, in Node, a path is expected as an image");
}

/** What the service made. `blob` is an image file of `mediaType`. */
export class Picture {
  constructor(blob, headers) {
    const seconds = headers.get("x-processing-time");
    this.blob = blob;
    this.mediaType = headers.get("content-type") ?? "";
    this.model = headers.get("x-model") ?? "";
    this.hdStrategy = headers.get("x-hd-strategy") ?? "";
    this.processingTimeS = seconds === null ? null : Number(seconds);
    this.notes = headers.get("x-notes") ?? "";
    this.requestId = headers.get("x-request-id") ?? "";
    this.seed = headers.has("x-seed") ? Number(headers.get("x-seed")) : null;
    this.erased = headers.get("x-erased")?.split("/").map(Number) ?? null;
  }

  async bytes() {
    return new Uint8Array(await this.blob.arrayBuffer());
  }

  /** In Node: write the file as it came. */
  async save(path) {
    const { writeFile } = await import("node:fs/promises");
    await writeFile(path, await this.bytes());
    return path;
  }
}
