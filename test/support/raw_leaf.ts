/**
 * A leaf connection spoken by hand: a peer that ignores what the server tells it about its permissions.
 * Protocol: nats-server `server/leafnode.go`.
 */
import { connect, createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parseAddress } from "../../src/nats/addresses.ts";
import type { SigningKey } from "../../src/nats/keys.ts";
import type { LeafTls } from "../../src/nats/leaf_client.ts";

export interface RawLeafOptions {
  readonly address: string;
  readonly key: SigningKey;
  /** TLS before the first byte, as servers speak it. */
  readonly tls?: LeafTls;
  /** More fields of CONNECT, or other values. */
  readonly connect?: Readonly<Record<string, unknown>>;
}

/** What it received, as protocol lines (`LMSG …` with its payload behind a blank). */
export class RawLeaf implements Disposable {
  readonly lines: string[] = [];
  readonly #socket: Socket;
  #rest = "";
  /** Control line of the message whose payload is still to come. */
  #message = "";
  #hear: ((line: string, payload: string) => void) | null = null;
  closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Uint8Array) => this.#receive(new TextDecoder().decode(bytes)));
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("error", () => {});
  }

  /** Waits at `port` for a server that dials us, and answers it as a hub that grants it everything. */
  static async accept(port: number): Promise<RawLeaf> {
    const server = createServer();
    server.listen(port, "127.0.0.1");
    const info = { server_id: "NRAWHUB", server_name: "raw", version: "2.15.1", proto: 1, headers: true };
    try {
      for (;;) {
        const leaf = new RawLeaf(await new Promise<Socket>((resolve) => server.once("connection", resolve)));
        const first = {
          ...info,
          max_payload: 1_048_576,
          nonce: "raw",
          port,
          client_id: 7,
          leafnode_urls: [],
        };
        leaf.send(`INFO ${JSON.stringify(first)}`);
        await leaf.next((line) => line.startsWith("CONNECT "));
        leaf.send(`INFO ${JSON.stringify({ ...info, connect_info: true, remote_account: "RAW" })}`);
        await leaf.ping();
        // A server that reloads may dial before it has the account, and dials again.
        if (!leaf.closed) return leaf;
      }
    } finally {
      server.close();
    }
  }

  /** Connects and logs in; resolves when the server has answered the first ping, or has closed. */
  static async open(options: RawLeafOptions): Promise<RawLeaf> {
    const to = parseAddress(options.address);
    const leaf = new RawLeaf(options.tls === undefined ? connect(to) : connectTls({ ...to, ...options.tls }));
    const info: { nonce?: string } = JSON.parse(
      (await leaf.next((line) => line.startsWith("INFO "))).slice(5),
    );
    const signature = options.key.sign(new TextEncoder().encode(info.nonce ?? ""));
    leaf.send(
      `CONNECT ${JSON.stringify({
        version: "2.15.1",
        nkey: options.key.publicKey,
        sig: Buffer.from(signature).toString("base64url"),
        server_id: "NRAW",
        name: "raw",
        headers: true,
        protocol: 1,
        compress_mode: "not supported",
        ...options.connect,
      })}`,
    );
    await leaf.ping();
    return leaf;
  }

  /** Calls `hear` with the control line and the payload of each message to come that is one line of JSON. */
  heard(hear: (line: string, payload: string) => void): void {
    this.#hear = hear;
  }

  subscribe(subject: string): void {
    this.send(`LS+ ${subject}`);
  }

  publish(subject: string, payload: string, reply = ""): void {
    this.send(`LMSG ${subject} ${reply === "" ? "" : `${reply} `}${payload.length}\r\n${payload}`);
  }

  /** Sends a message with a header block that is taken as it is. */
  publishHeaders(subject: string, block: string, payload: string, reply = ""): void {
    const total = block.length + payload.length;
    this.send(
      `HMSG ${subject} ${reply === "" ? "" : `${reply} `}${block.length} ${total}\r\n${block}${payload}`,
    );
  }

  /** Resolves when the server has worked through all that was sent, or has closed the connection. */
  async ping(): Promise<void> {
    const before = this.lines.filter((line) => line === "PONG").length;
    this.send("PING");
    await this.next(() => this.lines.filter((line) => line === "PONG").length > before);
  }

  /** The first line, past or to come, that `wanted` is true of; the last line when the connection closes. */
  async next(wanted: (line: string) => boolean): Promise<string> {
    const end = performance.now() + 5000;
    while (performance.now() < end) {
      const found = this.lines.find(wanted);
      if (found !== undefined || this.closed) return found ?? this.lines.at(-1) ?? "";
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`Waited in vain; received: ${this.lines.join(" | ")}`);
  }

  send(line: string): void {
    this.#socket.write(`${line}\r\n`);
  }

  /** Reads no more of what the server sends. */
  pause(): void {
    this.#socket.pause();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split("\r\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "PING") this.send("PONG");
      else if (line !== "") {
        this.lines.push(line);
        if (/^[LH]MSG /.test(line)) this.#message = line;
        else if (line.startsWith("{") && this.#message !== "") {
          this.#hear?.(this.#message, line);
          this.#message = "";
        }
      }
    }
  }
}
