/** A Blob or File, bytes, or in Node the path of a file. */
export type ImageInput = Blob | ArrayBuffer | ArrayBufferView | string | URL;
/** Pixels, origin top left. */
export interface Rect { x: number; y: number; width: number; height: number }
export interface Polygon { points: [number, number][] }
export type RegionInput = Rect | Polygon | [x: number, y: number, width: number, height: number];

/** The service's own names and defaults; `/docs` of a running service describes each. */
export interface Options {
  model?: string;
  output_format?: "png" | "jpeg" | "webp";
  quality?: number;
  hd_strategy?: "Original" | "Crop" | "Resize" | "Auto";
  hd_strategy_crop_trigger_size?: number;
  hd_strategy_crop_margin?: number;
  hd_strategy_resize_limit?: number;
  mask_mode?: "box" | "strokes" | "auto";
  mask_dilate_px?: number;
  mask_feather_px?: number;
  output?: "image" | "mask" | "overlay";
  sd_seed?: number;
  sd_steps?: number;
  sd_strength?: number;
  sd_guidance_scale?: number;
  sd_sampler?: string;
  prompt?: string;
  negative_prompt?: string;
}
/** Which of the lines that the service finds count; for calls without regions. */
export interface TextOptions {
  min_score?: number;
  min_height_px?: number;
  include?: RegionInput[];
  exclude?: RegionInput[];
}
export interface WorkOptions extends Options, TextOptions {}
export interface Abortable { signal?: AbortSignal }
export interface Waiting extends Abortable { timeoutS?: number }
export interface Watching extends Waiting { onUpdate?: (update: Update) => void }
export interface SubmitOptions extends WorkOptions, Abortable {
  taskId?: string;
  callbackUrl?: string;
  priority?: number;
}
export interface BatchOptions extends Options, Abortable {
  batchId?: string;
  callbackUrl?: string;
  priority?: number;
}
export type BatchItem = Options & { image: ImageInput } & ({ regions: RegionInput[] } | { mask: ImageInput });

export interface Retries { attempts: number; patienceS: number; firstS: number; longestS: number }
export interface ClientOptions {
  apiKey?: string;
  timeoutS?: number;
  retries?: Partial<Retries>;
  fetch?: typeof globalThis.fetch;
  /** Another implementation; null: progress is asked for over HTTP. */
  WebSocket?: unknown;
}

export type Status = "pending" | "preparing" | "processing" | "completed" | "error" | "cancelled";
/** News of a task. The last one is `ended`. */
export interface Update {
  taskId: string;
  status: Status;
  stage: string | null;
  progress: number;
  message: string;
  currentRegion: number | null;
  totalRegions: number | null;
  estimatedRemainingS: number | null;
  queuePosition: number | null;
  ended: boolean;
}
export interface Health { status: "healthy" | "starting" | "unhealthy"; message: string; version: string; degraded?: string[] }
export interface ModelState { name: string; device: string; status: string; parameters: Record<string, unknown> }
export interface Info {
  name: string;
  version: string;
  model: ModelState;
  models: string[];
  capabilities: string[];
  limits: {
    max_image_size: number; max_pixels: number; max_file_size: number; request_timeout: number;
    supported_formats: string[];
  };
}
export interface Queue {
  total_tasks: number;
  active_tasks: number;
  completed_tasks: number;
  error_tasks: number;
  pending_tasks: number;
  cancelled_tasks: number;
  max_queued_tasks: number;
  estimated_wait: number | null;
  active_task_ids: string[];
}
export interface TaskState {
  task_id: string;
  status: Status;
  stage: string | null;
  overall_progress: number;
  stage_progress: number;
  current_region: number;
  total_regions: number;
  message: string;
  elapsed_time: number;
  estimated_remaining: number | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  error_message: string | null;
  error: string | null;
  queue_position: number | null;
  result_url: string | null;
  /** What was done to each region; empty until completed. */
  regions: RegionReport[];
}
export interface RegionReport {
  index: number;
  mode: "box" | "strokes";
  confidence: number | null;
  masked_share: number;
  model: string;
  erased: boolean | null;
  residual_score: number | null;
  trial_error: number | null;
}
export interface BatchState {
  batch_id: string;
  status: string;
  counts: Record<string, number>;
  overall_progress: number;
  created_at: string;
  result_url: string | null;
  tasks: TaskState[];
}
export interface TextLine { points: [number, number][]; score: number }
export interface Delivery { number: number; at: string; taken: boolean; answer: string; next_at: string | null }
export interface Callback {
  messageId: string;
  subject: string;
  status: string;
  timestamp: number;
  errorMessage: string | null;
  counts: Record<string, number> | null;
  image: Uint8Array | null;
}

export class Picture {
  readonly blob: Blob;
  readonly mediaType: string;
  readonly model: string;
  readonly hdStrategy: string;
  readonly processingTimeS: number | null;
  readonly notes: string;
  readonly requestId: string;
  /** Of a diffusion model: with it the same request gives the same pixels. */
  readonly seed: number | null;
  /** Regions whose text is gone, of those that could be judged. */
  readonly erased: [gone: number, judged: number] | null;
  bytes(): Promise<Uint8Array>;
  save(path: string | URL): Promise<string | URL>;
}

export class Client {
  constructor(baseUrl?: string, options?: ClientOptions);
  health(options?: Abortable): Promise<Health>;
  waitReady(timeoutS?: number, options?: Abortable): Promise<Health>;
  info(options?: Abortable): Promise<Info>;
  queue(options?: Abortable): Promise<Queue>;
  removeText(image: ImageInput, regions?: RegionInput[] | null, options?: WorkOptions & Abortable): Promise<Picture>;
  inpaint(image: ImageInput, mask: ImageInput, options?: Options & Abortable): Promise<Picture>;
  measure(image: ImageInput, regions: RegionInput[], options?: Options & Abortable): Promise<Record<string, unknown>>;
  detectText(image: ImageInput, options?: TextOptions & Abortable): Promise<TextLine[]>;
  submit(image: ImageInput, regions?: RegionInput[] | null, options?: SubmitOptions): Promise<Task>;
  task(taskId: string): Task;
  submitBatch(items: BatchItem[], options?: BatchOptions): Promise<Batch>;
  batch(batchId: string): Batch;
  messages(signal?: AbortSignal): AsyncGenerator<Record<string, unknown>, void, undefined>;
}

export class Task implements AsyncIterable<Update> {
  readonly id: string;
  private constructor();
  [Symbol.asyncIterator](): AsyncGenerator<Update, void, undefined>;
  updates(options?: Waiting): AsyncGenerator<Update, void, undefined>;
  status(options?: Abortable): Promise<TaskState>;
  result(options?: Watching): Promise<Picture>;
  cancel(options?: Abortable): Promise<Record<string, unknown>>;
  forget(options?: Abortable): Promise<Record<string, unknown>>;
  stats(options?: Abortable): Promise<Record<string, unknown>>;
  deliveries(options?: Abortable): Promise<Delivery[]>;
  redeliver(options?: Abortable): Promise<Delivery[]>;
}

export class Batch implements AsyncIterable<Update> {
  readonly id: string;
  private constructor();
  [Symbol.asyncIterator](): AsyncGenerator<Update, void, undefined>;
  updates(options?: Waiting): AsyncGenerator<Update, void, undefined>;
  status(options?: Abortable): Promise<BatchState>;
  wait(options?: Watching): Promise<BatchState>;
  results(options?: Waiting): AsyncGenerator<{ task: TaskState; picture: Picture | null }, void, undefined>;
  download(options?: Abortable): Promise<Blob>;
  cancel(options?: Abortable): Promise<BatchState>;
}

/** `body`: the text as received. Throws NotFromTheService. */
export function verifyWebhook(body: string, headers: HeadersInit, secret: string): Promise<Callback>;

export class TextRemovalClientError extends Error {}
export class ConnectionFailed extends TextRemovalClientError {}
export class TimedOut extends TextRemovalClientError {}
export class UnexpectedAnswer extends TextRemovalClientError { readonly status: number; readonly retryAfterS: number | null }
export class TaskFailed extends TextRemovalClientError { readonly taskId: string; readonly code: string | null }
export class TaskCancelled extends TextRemovalClientError {}
export class NotFromTheService extends TextRemovalClientError {}
export class ServiceError extends TextRemovalClientError {
  readonly code: string;
  readonly status: number;
  readonly requestId: string;
  readonly retryAfterS: number | null;
}
export class InvalidRequest extends ServiceError {}
export class TooLarge extends ServiceError {}
export class Unauthorized extends ServiceError {}
export class NotFound extends ServiceError {}
export class Conflict extends ServiceError {}
export class ResultExpired extends ServiceError {}
export class QueueFull extends ServiceError {}
export class Unavailable extends ServiceError {}
