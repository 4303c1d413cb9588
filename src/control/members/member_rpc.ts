/**
 * What the sidecars of a site ask of each other: one request, one answer, over the MESH account, where nobody else can speak. What is
 * larger than a message goes in parts; each is asked for, so that neither side sends faster than the other takes.
 */
import { errors, headers, type Msg, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { type ErrorCode, errorText, LeafmeshError } from "../../model/errors.ts";
import { memberSubject } from "../../model/names.ts";
import { isNoResponders } from "../../nats/jetstream_errors.ts";

/** Bytes of one part. */
const PART_BYTES = 256 * 1024;
/** Of one request or answer. */
const MAX_BYTES = 64 * 1024 * 1024;
const PART_WITHIN_MS = 5_000;
/** What is not gone on with for so long is forgotten. */
const FORGET_MS = 30_000;
const MAX_TRANSFERS = 64;

const HEADER = {
  /** Of a request in parts. */
  transfer: "Member-Transfer",
  /** More parts follow. */
  more: "Member-More",
  /** Of an answer: how many parts it has. */
  parts: "Member-Parts",
  epoch: "Member-Epoch",
  from: "Member-From",
  error: "Member-Error",
} as const;

/** Who asks, and in which epoch. */
export interface MemberRequest {
  readonly from: string;
  /** The leadership that the asker knows of. */
  readonly epoch: number;
  readonly body: Uint8Array;
}
export type MemberHandler = (request: MemberRequest) => Promise<Uint8Array>;

export interface MemberRpcOptions {
  readonly nc: NatsConnection;
  readonly site: string;
  readonly name: string;
  readonly epoch: () => number;
}

interface Transfer {
  readonly chunks: Uint8Array[];
  bytes: number;
  timer: ReturnType<typeof setTimeout>;
}

export class MemberRpc implements Disposable {
  readonly #options: MemberRpcOptions;
  readonly #handlers = new Map<string, MemberHandler>();
  readonly #subscription: Subscription;
  readonly #incoming = new Map<string, Transfer>();
  readonly #outgoing = new Map<string, Transfer>();

  constructor(options: MemberRpcOptions) {
    this.#options = options;
    const { nc, site, name } = options;
    this.#subscription = nc.subscribe(memberSubject(site, name, "*"), {
      callback: (error, message) => {
        if (error === null) void this.#answer(message);
      },
    });
  }

  /** Answers a verb from now on. @returns ends it */
  handle(verb: string, handler: MemberHandler): () => void {
    this.#handlers.set(verb, handler);
    return () => {
      if (this.#handlers.get(verb) === handler) this.#handlers.delete(verb);
    };
  }

  /**
   * Asks a member.
   * @throws LeafmeshError `no_leader` when nobody answers under that name, `timeout`, `too_large`, or what the member answers
   */
  async ask(
    member: string,
    verb: string,
    body: Uint8Array,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    requireSize(body.length);
    const { site, name, epoch } = this.#options;
    const subject = memberSubject(site, member, verb);
    const transfer = crypto.randomUUID();
    const head = headers();
    head.set(HEADER.from, name);
    head.set(HEADER.epoch, String(epoch()));
    let from = 0;
    if (body.length > PART_BYTES) head.set(HEADER.transfer, transfer);
    for (; body.length - from > PART_BYTES; from += PART_BYTES) {
      const more = headers();
      for (const key of head.keys()) more.set(key, head.get(key));
      more.set(HEADER.more, "1");
      const part = body.subarray(from, from + PART_BYTES);
      checked(await this.#request(subject, part, more, PART_WITHIN_MS, signal));
    }
    const answer = checked(await this.#request(subject, body.subarray(from), head, timeoutMs, signal));
    const parts = Number(answer.headers?.get(HEADER.parts) ?? "1");
    if (parts === 1) return answer.data;
    const chunks = [answer.data];
    for (let part = 1; part < parts; part++) {
      const next = headers();
      next.set(HEADER.transfer, answer.headers?.get(HEADER.transfer) ?? "");
      const fetch = memberSubject(site, member, "part");
      const got = checked(await this.#request(fetch, String(part), next, PART_WITHIN_MS, signal));
      chunks.push(got.data);
    }
    return Buffer.concat(chunks);
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
    for (const all of [this.#incoming, this.#outgoing]) {
      for (const { timer } of all.values()) clearTimeout(timer);
      all.clear();
    }
  }

  async #request(
    subject: string,
    data: Uint8Array | string,
    head: ReturnType<typeof headers>,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<Msg> {
    const member = subject.split(".")[3] ?? "";
    const gone = (why: string) => new LeafmeshError("no_leader", `Member ${member} ${why}`);
    const request = this.#options.nc.request(subject, data, { headers: head, timeout });
    request.catch(() => undefined);
    try {
      if (signal === undefined) return await request;
      signal.throwIfAborted();
      return await new Promise<Msg>((resolve, reject) => {
        const abort = () => reject(signal.reason);
        signal.addEventListener("abort", abort, { once: true });
        request.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
      });
    } catch (error) {
      if (error instanceof LeafmeshError) throw error;
      if (isNoResponders(error)) throw gone("is not there");
      if (error instanceof errors.TimeoutError) {
        throw new LeafmeshError("timeout", `Member ${member} did not answer within ${timeout} ms`);
      }
      throw gone(`cannot be asked: ${errorText(error)}`);
    }
  }

  async #answer(message: Msg): Promise<void> {
    try {
      const answer = await this.#handle(message);
      if (answer !== null) this.#respond(message, answer);
    } catch (error) {
      const head = headers();
      head.set(HEADER.error, error instanceof LeafmeshError ? error.code : "internal");
      message.respond(errorText(error), { headers: head });
    }
  }

  async #handle(message: Msg): Promise<Uint8Array | null> {
    const verb = message.subject.split(".").at(-1) ?? "";
    const transfer = message.headers?.get(HEADER.transfer) ?? "";
    if (verb === "part") return this.#part(transfer, Number(message.string()));
    const whole = this.#whole(transfer, message);
    if (whole === null) return new Uint8Array();
    const handler = this.#handlers.get(verb);
    if (handler === undefined) {
      throw new LeafmeshError("no_leader", `Member ${this.#options.name} does not answer '${verb}' now`);
    }
    const from = message.headers?.get(HEADER.from) ?? "";
    const epoch = Number(message.headers?.get(HEADER.epoch) ?? "0");
    return await handler({ from, epoch, body: whole });
  }

  /** The whole request; `null`: more is to come. */
  #whole(transfer: string, message: Msg): Uint8Array | null {
    if (transfer === "") return message.data;
    const known = this.#incoming.get(transfer);
    if (known === undefined && this.#incoming.size >= MAX_TRANSFERS) {
      throw new LeafmeshError("rate_limited", "too many large requests at once");
    }
    const there = known ?? { chunks: [], bytes: 0, timer: forget(this.#incoming, transfer) };
    this.#incoming.set(transfer, there);
    there.chunks.push(message.data.slice());
    there.bytes += message.data.length;
    if (message.headers?.has(HEADER.more) === true && there.bytes <= MAX_BYTES) return null;
    clearTimeout(there.timer);
    this.#incoming.delete(transfer);
    requireSize(there.bytes);
    return Buffer.concat(there.chunks);
  }

  #respond(message: Msg, answer: Uint8Array): void {
    requireSize(answer.length);
    if (answer.length <= PART_BYTES) {
      message.respond(answer);
      return;
    }
    const chunks: Uint8Array[] = [];
    for (let from = 0; from < answer.length; from += PART_BYTES) {
      chunks.push(answer.subarray(from, from + PART_BYTES));
    }
    if (this.#outgoing.size >= MAX_TRANSFERS) {
      throw new LeafmeshError("rate_limited", "too many large answers at once");
    }
    const transfer = crypto.randomUUID();
    this.#outgoing.set(transfer, {
      chunks,
      bytes: answer.length,
      timer: forget(this.#outgoing, transfer),
    });
    const head = headers();
    head.set(HEADER.transfer, transfer);
    head.set(HEADER.parts, String(chunks.length));
    message.respond(chunks[0] ?? new Uint8Array(), { headers: head });
  }

  #part(transfer: string, part: number): Uint8Array {
    const there = this.#outgoing.get(transfer);
    const chunk = there?.chunks[part];
    if (there === undefined || chunk === undefined) {
      throw new LeafmeshError("not_found", "that part of an answer is not there any more");
    }
    clearTimeout(there.timer);
    if (part === there.chunks.length - 1) this.#outgoing.delete(transfer);
    else there.timer = forget(this.#outgoing, transfer);
    return chunk;
  }
}

function forget(all: Map<string, Transfer>, id: string): ReturnType<typeof setTimeout> {
  const timer = setTimeout(() => all.delete(id), FORGET_MS);
  (timer as { unref?: () => void }).unref?.();
  return timer;
}

function requireSize(bytes: number): void {
  if (bytes <= MAX_BYTES) return;
  throw new LeafmeshError(
    "too_large",
    `${bytes} bytes are more than sidecars of a site send each other (${MAX_BYTES}): ask the one that leads`,
  );
}

function checked(answer: Msg): Msg {
  const code = answer.headers?.get(HEADER.error) ?? "";
  if (code !== "") throw new LeafmeshError(code as ErrorCode, answer.string());
  return answer;
}
