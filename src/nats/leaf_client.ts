/**
 * A leaf connection spoken by the sidecar itself: to ask one thing of another site before there is a link with it.
 * Protocol: nats-server `server/leafnode.go`. TLS comes first, before any byte of the protocol.
 */
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { z } from "zod";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { parseAddress } from "./addresses.ts";
import { MINIMUM_SERVER_VERSION } from "./find.ts";
import type { SigningKey } from "./keys.ts";
import { type LeafFrame, LeafFrames } from "./leaf_frames.ts";

const DEFAULT_DEADLINE_MS = 5_000;
const MAX_LINE_BYTES = 32 * 1024;
const MAX_MESSAGE_BYTES = 256 * 1024;

const Info = z.looseObject({
  server_id: z.string().default(""),
  server_name: z.string().default(""),
  version: z.string().default(""),
  nonce: z.string().min(1).optional(),
  tls_required: z.boolean().optional(),
});

/** What the other server says of itself: claims, not proofs. */
export type LeafInfo = z.infer<typeof Info>;

export interface LeafClientOptions {
  /** `host:port` of the other site's leaf listener. */
  readonly address: string;
  /** Logs in: signs the server's nonce. */
  readonly key: SigningKey;
  /** TLS before the first byte; without it the connection is readable on its way. */
  readonly tls?: LeafTls;
  /** How we call ourselves there. */
  readonly name?: string;
  /** More fields of CONNECT, or other values. */
  readonly connect?: Readonly<Record<string, unknown>>;
  /** For the way from the first packet to a login that the server has confirmed. Default 5 s. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** Longest line that is taken, default 32 KiB. */
  readonly maxLineBytes?: number;
  /** Largest message that is taken, default 256 KiB. */
  readonly maxMessageBytes?: number;
  /** Hears every frame that comes after the first INFO. */
  readonly onFrame?: (frame: LeafFrame) => void;
}

/** What both ends show and check. All PEM. */
export interface LeafTls {
  /** CA certificates: the other end must show one that they have signed, with the host of the address in it. */
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Somebody who waits for a frame. */
interface Waiter {
  readonly wants: (frame: LeafFrame) => boolean;
  readonly take: (frame: LeafFrame) => void;
  readonly fail: (error: LeafmeshError) => void;
}

/** A connection that is logged in. Disposing of it closes it. */
export class LeafClient implements Disposable {
  readonly #socket: Socket;
  readonly #address: string;
  readonly #frames: LeafFrames;
  readonly #onFrame: (frame: LeafFrame) => void;
  readonly #waiters = new Set<Waiter>();
  /** What the server said last that it objects to. */
  #objection: string | null = null;
  #failure: LeafmeshError | null = null;
  /** TLS is agreed, or there is none: errors from now on are not about certificates. */
  #secure = false;
  /** Where we are: CONNECT was sent, and the server has let us in. */
  #asked = false;
  #loggedIn = false;
  #info: LeafInfo = Info.parse({});

  private constructor(socket: Socket, options: LeafClientOptions) {
    this.#socket = socket;
    this.#address = options.address;
    this.#onFrame = options.onFrame ?? (() => {});
    this.#frames = new LeafFrames({
      maxLineBytes: options.maxLineBytes ?? MAX_LINE_BYTES,
      maxMessageBytes: options.maxMessageBytes ?? MAX_MESSAGE_BYTES,
    });
    this.#secure = options.tls === undefined;
    socket.setNoDelay(true);
    socket.on("secureConnect", () => {
      this.#secure = true;
    });
    socket.on("data", (bytes: Uint8Array) => this.#receive(bytes));
    socket.on("error", (error: Error) => this.#fail(this.#because(error)));
    socket.on("close", () => this.#fail(this.#hungUp()));
  }

  /**
   * Connects and logs in.
   * @throws {LeafmeshError} `peer_unreachable` when nobody answers in time, `peer_refused` when the other end has not the
   * certificate that it should have or speaks another protocol, `login_refused` when it does not let us in.
   */
  static async open(options: LeafClientOptions): Promise<LeafClient> {
    const { address, key } = options;
    const end = performance.now() + (options.deadlineMs ?? DEFAULT_DEADLINE_MS);
    const left = () => ({
      deadlineMs: Math.max(1, end - performance.now()),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    options.signal?.throwIfAborted();
    const client = new LeafClient(openSocket(options), options);
    try {
      const first = await client.#next((frame) => frame.type === "info", "its greeting", left());
      const info = client.#readInfo(first);
      if (options.tls === undefined && info.tls_required === true)
        throw new LeafmeshError("peer_refused", `${address} wants TLS; expected a plain leaf connection`);
      const signature = key.sign(new TextEncoder().encode(info.nonce ?? ""));
      client.#asked = true;
      client.#send(
        `CONNECT ${JSON.stringify({
          version: MINIMUM_SERVER_VERSION,
          nkey: key.publicKey,
          sig: Buffer.from(signature).toString("base64url"),
          server_id: `N${key.publicKey.slice(1)}`,
          name: options.name ?? "leafmesh",
          headers: true,
          protocol: 1,
          compress_mode: "not supported",
          ...options.connect,
        })}\r\n`,
      );
      await client.ping(left());
      client.#loggedIn = true;
      return client;
    } catch (error) {
      client[Symbol.dispose]();
      throw error;
    }
  }

  /** What the server has said of itself. */
  get info(): LeafInfo {
    return this.#info;
  }

  /** Why the connection is over; `null` while it stands. */
  get failure(): LeafmeshError | null {
    return this.#failure;
  }

  /** What the server said last that it objects to, as a forbidden subject. */
  get objection(): string | null {
    return this.#objection;
  }

  /** Tells the server that messages on a subject are wanted. */
  subscribe(subject: string): void {
    this.#send(`LS+ ${checkedSubject(subject)}\r\n`);
  }

  publish(subject: string, data: Uint8Array | string, reply = ""): void {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const to = reply === "" ? "" : `${checkedSubject(reply)} `;
    this.#send(`LMSG ${checkedSubject(subject)} ${to}${bytes.length}\r\n`);
    this.#socket.write(bytes);
    this.#send("\r\n");
  }

  /** Resolves when the server has worked through all that was sent. @throws as {@link request} */
  async ping(options: { readonly deadlineMs?: number; readonly signal?: AbortSignal } = {}): Promise<void> {
    const answer = this.#next((frame) => frame.type === "pong", "a ping", options);
    this.#send("PING\r\n");
    await answer;
  }

  /**
   * Publishes and waits for the first message on `reply`, which must be subscribed.
   * @throws {LeafmeshError} `peer_unreachable` after the deadline or when the connection ends, `login_refused` when the server
   * cuts us off, `peer_refused` when it speaks another protocol
   */
  async request(
    subject: string,
    data: Uint8Array | string,
    options: { readonly reply: string; readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    const answer = this.#next(
      (frame) => frame.type === "message" && frame.subject === options.reply,
      "a request",
      options,
    );
    this.publish(subject, data, options.reply);
    const frame = await answer;
    return frame.type === "message" ? frame.data : new Uint8Array();
  }

  /** Sends bytes as they are: for tests of what a server does with them. */
  sendRaw(bytes: Uint8Array | string): void {
    this.#send(bytes);
  }

  [Symbol.dispose](): void {
    this.#fail(new LeafmeshError("peer_unreachable", `The connection to ${this.#address} is closed`));
    this.#socket.destroy();
  }

  #send(bytes: Uint8Array | string): void {
    if (this.#failure === null) this.#socket.write(bytes);
  }

  /** The first frame to come that is wanted. */
  async #next(
    wants: Waiter["wants"],
    what: string,
    options: { readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<LeafFrame> {
    const { deadlineMs = DEFAULT_DEADLINE_MS, signal } = options;
    if (this.#failure !== null) throw this.#failure;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<LeafFrame>();
    const waiter: Waiter = { wants, take: resolve, fail: reject };
    const stop = () => reject(signal?.reason);
    const timer = setTimeout(() => {
      const text = `${this.#address} did not answer ${what} within ${Math.round(deadlineMs)} ms`;
      reject(new LeafmeshError("peer_unreachable", text));
    }, deadlineMs);
    this.#waiters.add(waiter);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
      signal?.removeEventListener("abort", stop);
    }
  }

  #receive(bytes: Uint8Array): void {
    if (this.#failure !== null) return;
    try {
      for (const frame of this.#frames.take(bytes)) {
        if (frame.type === "ping") this.#send("PONG\r\n");
        if (frame.type === "error") this.#objection = frame.text;
        this.#onFrame(frame);
        for (const waiter of [...this.#waiters]) {
          if (!waiter.wants(frame)) continue;
          this.#waiters.delete(waiter);
          waiter.take(frame);
          break;
        }
      }
    } catch (error) {
      const known = error instanceof LeafmeshError;
      this.#fail(known ? error : new LeafmeshError("peer_refused", errorText(error), { cause: error }));
      this.#socket.destroy();
    }
  }

  #readInfo(frame: LeafFrame): LeafInfo {
    try {
      this.#info = Info.parse(JSON.parse(frame.type === "info" ? frame.text : ""));
      return this.#info;
    } catch (error) {
      throw new LeafmeshError("peer_refused", `${this.#address} is no leaf listener of nats-server`, {
        cause: error,
      });
    }
  }

  #fail(error: LeafmeshError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const waiter of this.#waiters) waiter.fail(error);
    this.#waiters.clear();
  }

  #because(cause: Error): LeafmeshError {
    const reason = errorText(cause).slice(0, 300);
    if (isNetworkError(cause) && !this.#asked)
      return new LeafmeshError("peer_unreachable", `${this.#address} cannot be reached: ${reason}`, {
        cause,
      });
    // What TLS says after the handshake is about our own certificate.
    if (this.#secure) return this.#hungUp(reason);
    const text = `${this.#address} has not the certificate that it should have: ${reason}`;
    return new LeafmeshError("peer_refused", text, { cause });
  }

  #hungUp(reason = "it has closed the connection"): LeafmeshError {
    const said = this.#objection ?? reason;
    if (this.#objection !== null || (this.#asked && !this.#loggedIn))
      return new LeafmeshError("login_refused", `${this.#address} does not let us in: ${said}`);
    return new LeafmeshError("peer_unreachable", `${this.#address}: ${said}`);
  }
}

function openSocket({ address, tls }: LeafClientOptions): Socket {
  const { host, port } = parseAddress(address);
  if (tls === undefined) return connectPlain({ host, port });
  return connectTls({
    host,
    port,
    ca: tls.ca,
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    // The name of an address that is no IP goes with the handshake.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    minVersion: "TLSv1.3",
    rejectUnauthorized: true,
  });
}

function isNetworkError(error: Error): boolean {
  const code = "code" in error ? String(error.code) : "";
  return /^(?:E[A-Z]{3,}|UND_ERR_.*)$/.test(code) && !code.startsWith("ERR_");
}

/** A subject must not end its line: what follows would be another command. */
function checkedSubject(subject: string): string {
  if (/^[^\s\0]+$/.test(subject)) return subject;
  throw new LeafmeshError("internal", "A subject of a leaf connection is empty or holds white space");
}
