/**
 * A client connection spoken by hand: what a library would not let its user send.
 * Protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
 */
import { connect, type Socket } from "node:net";
import { parseAddress } from "../../src/nats/addresses.ts";
import type { SigningKey } from "../../src/nats/keys.ts";

export interface RawClientOptions {
  readonly address: string;
  /** Without it the client logs in as nobody. */
  readonly key?: SigningKey;
  /** More fields of CONNECT, or other values. */
  readonly connect?: Readonly<Record<string, unknown>>;
  /** `false`: say nothing after the server's INFO. */
  readonly login?: boolean;
}

/** What it received, as protocol lines. */
export class RawClient implements Disposable {
  readonly lines: string[] = [];
  /** What the server says of itself before anybody has logged in. */
  info: Readonly<Record<string, unknown>> = {};
  closed = false;
  readonly socket: Socket;
  #rest = "";

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes: Uint8Array) => this.#receive(Buffer.from(bytes).toString("latin1")));
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("error", () => {});
  }

  /** Connects and logs in; resolves when the server has answered the first ping, or has closed. */
  static async open(options: RawClientOptions): Promise<RawClient> {
    const client = new RawClient(connect(parseAddress(options.address)));
    const line = await client.next((one) => one.startsWith("INFO "));
    if (!line.startsWith("INFO ")) return client;
    client.info = JSON.parse(line.slice(5)) as Record<string, unknown>;
    if (options.login === false) return client;
    const nonce = String(client.info.nonce ?? "");
    const key = options.key;
    client.send(
      `CONNECT ${JSON.stringify({
        verbose: false,
        pedantic: false,
        lang: "raw",
        version: "1.0.0",
        protocol: 1,
        headers: true,
        no_responders: true,
        ...(key === undefined
          ? {}
          : {
              nkey: key.publicKey,
              sig: Buffer.from(key.sign(new TextEncoder().encode(nonce))).toString("base64url"),
            }),
        ...options.connect,
      })}`,
    );
    await client.ping();
    return client;
  }

  subscribe(subject: string, sid = "1"): void {
    this.send(`SUB ${subject} ${sid}`);
  }

  publish(subject: string, payload: string, reply = ""): void {
    this.send(`PUB ${subject} ${reply === "" ? "" : `${reply} `}${payload.length}\r\n${payload}`);
  }

  /** Sends a message with a header block that is taken as it is. */
  publishHeaders(subject: string, block: string, payload: string, reply = ""): void {
    const total = block.length + payload.length;
    this.send(
      `HPUB ${subject} ${reply === "" ? "" : `${reply} `}${block.length} ${total}\r\n${block}${payload}`,
    );
  }

  /** Resolves when the server has worked through all that was sent, or has closed the connection. */
  async ping(): Promise<void> {
    const pongs = () => this.lines.filter((line) => line === "PONG").length;
    const before = pongs();
    this.send("PING");
    await this.next(() => pongs() > before);
  }

  /** The first line, past or to come, that `wanted` is true of; the last line when the connection closes. */
  async next(wanted: (line: string) => boolean, deadlineMs = 10_000): Promise<string> {
    const end = performance.now() + deadlineMs;
    while (performance.now() < end) {
      const found = this.lines.find(wanted);
      if (found !== undefined || this.closed) return found ?? this.lines.at(-1) ?? "";
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`Waited in vain; received: ${this.lines.join(" | ")}`);
  }

  /** Resolves when the server has closed the connection. */
  async gone(deadlineMs = 20_000): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!this.closed) {
      if (performance.now() > end) throw new Error(`The server did not close: ${this.lines.join(" | ")}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** What the server refused, in its words; empty when it refused nothing. */
  get errors(): string {
    return this.lines.filter((line) => line.startsWith("-ERR")).join(" ");
  }

  send(line: string): void {
    this.socket.write(Buffer.from(`${line}\r\n`, "latin1"));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split("\r\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "PING") this.send("PONG");
      else if (line !== "") this.lines.push(line);
    }
  }
}
