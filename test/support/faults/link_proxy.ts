/** A TCP proxy between two sites that can be a bad network: cut, stall, delay, throttle and reset. */
import { createServer, type Server, Socket } from "node:net";
import { parseAddress } from "../../../src/nats/addresses.ts";

/** What the network does to a link. */
export type LinkMode =
  | { readonly type: "pass" }
  /** Connections are reset, and new ones too. */
  | { readonly type: "cut" }
  /** Connections stay open and new ones are taken, but no byte goes through. */
  | { readonly type: "stall" }
  | { readonly type: "delay"; readonly ms: number }
  | { readonly type: "throttle"; readonly bytesPerSecond: number };

const MOST_QUEUED_BYTES = 4 * 1024 * 1024;
const THROTTLE_STEP_MS = 20;
/** How long the late bytes of an overtaken connection have to be written. */
const LAST_BYTES_MS = 1000;

/** Listens on a port of its own and passes bytes to `target`, as the mode says. */
export class LinkProxy implements AsyncDisposable {
  /** `host:port` that connections are passed to. */
  target = "";
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #mode: LinkMode = { type: "pass" };
  /** Bytes that went through, both ways. */
  bytes = 0;

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async listen(): Promise<LinkProxy> {
    const proxy = new LinkProxy();
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy does not listen");
    return `127.0.0.1:${address.port}`;
  }

  get mode(): LinkMode {
    return this.#mode;
  }

  set mode(mode: LinkMode) {
    this.#mode = mode;
    if (mode.type === "cut") this.reset();
    for (const link of this.#links) link.wake();
  }

  /** Resets all connections; new ones are taken as the mode says. */
  reset(): void {
    for (const link of this.#links) link.reset();
  }

  /**
   * Lets a new connection overtake the old one: who dialled sees a reset and dials again, while the bytes that it had sent before
   * come in late, over the old connection, when the new one stands.
   */
  overtake(lateMs: number): void {
    for (const link of this.#links) link.overtake(lateMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(from: Socket): void {
    if (this.#mode.type === "cut") {
      from.on("error", () => {});
      from.resetAndDestroy();
      return;
    }
    const { host, port } = parseAddress(this.target);
    const to = new Socket();
    to.connect(port, host);
    const link = new Link(
      from,
      to,
      () => this.#mode,
      (count) => {
        this.bytes += count;
      },
    );
    this.#links.add(link);
    link.onEnd = () => this.#links.delete(link);
  }
}

/** One connection and what it is passed to. */
class Link {
  onEnd: () => void = () => {};
  readonly #sockets: readonly [Socket, Socket];
  readonly #pipes: readonly [Pipe, Pipe];
  #late: ReturnType<typeof setTimeout> | null = null;

  constructor(from: Socket, to: Socket, mode: () => LinkMode, passed: (bytes: number) => void) {
    this.#sockets = [from, to];
    this.#pipes = [new Pipe(from, to, mode, passed), new Pipe(to, from, mode, passed)];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      const ended = () => {
        // The bytes of a connection that is overtaken still come.
        if (this.#late === null || socket === to) this.reset();
      };
      socket.on("error", ended);
      socket.on("close", ended);
    }
  }

  wake(): void {
    for (const pipe of this.#pipes) pipe.wake();
  }

  overtake(lateMs: number): void {
    if (this.#late !== null) return;
    const [there, back] = this.#pipes;
    const [dialler] = this.#sockets;
    back.stop();
    there.hold();
    this.#late = setTimeout(() => {
      there.release();
      this.#late = setTimeout(() => this.reset(), LAST_BYTES_MS);
    }, lateMs);
    dialler.resetAndDestroy();
  }

  reset(): void {
    if (this.#late !== null) clearTimeout(this.#late);
    for (const pipe of this.#pipes) pipe.stop();
    for (const socket of this.#sockets) if (!socket.destroyed) socket.resetAndDestroy();
    this.onEnd();
  }
}

/** One direction: chunks in order, each when the mode lets it through. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #mode: () => LinkMode;
  readonly #passed: (bytes: number) => void;
  readonly #queue: { readonly chunk: Uint8Array; readonly at: number }[] = [];
  #queued = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #stopped = false;
  #held = false;

  constructor(from: Socket, to: Socket, mode: () => LinkMode, passed: (bytes: number) => void) {
    this.#from = from;
    this.#to = to;
    this.#mode = mode;
    this.#passed = passed;
    from.on("data", (chunk: Uint8Array) => {
      this.#queue.push({ chunk, at: performance.now() });
      this.#queued += chunk.length;
      if (this.#queued > MOST_QUEUED_BYTES) from.pause();
      this.wake();
    });
    to.on("drain", () => this.wake());
  }

  /** Passes on what may go now, and comes back for the rest. */
  wake(): void {
    if (this.#stopped || this.#held) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (;;) {
      const mode = this.#mode();
      const head = this.#queue[0];
      if (head === undefined || mode.type === "stall" || mode.type === "cut") return;
      if (this.#to.writableNeedDrain) return;
      if (mode.type === "delay") {
        const left = head.at + mode.ms - performance.now();
        if (left > 0) {
          this.#later(left);
          return;
        }
      }
      if (mode.type === "throttle") {
        const most = Math.max(1, Math.floor((mode.bytesPerSecond * THROTTLE_STEP_MS) / 1000));
        this.#write(most);
        this.#later(THROTTLE_STEP_MS);
        return;
      }
      this.#write(head.chunk.length);
    }
  }

  /** Passes nothing on, whatever the mode, until {@link release}. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#queue.length = 0;
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => this.wake(), ms);
  }

  /** Writes at most so many bytes of the first chunk. */
  #write(most: number): void {
    const head = this.#queue.shift();
    if (head === undefined) return;
    const part = head.chunk.subarray(0, most);
    if (part.length < head.chunk.length) {
      this.#queue.unshift({ chunk: head.chunk.subarray(most), at: head.at });
    }
    this.#queued -= part.length;
    if (this.#queued < MOST_QUEUED_BYTES / 2) this.#from.resume();
    this.#to.write(part);
    this.#passed(part.length);
  }
}
