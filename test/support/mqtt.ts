/** A client of MQTT 3.1.1 as small as it can be: connect, publish and subscribe with QoS 0 and 1. */
import { connect, type Socket } from "node:net";
import { parseAddress } from "../../src/nats/addresses.ts";
import { waitFor } from "./wait_for.ts";

export interface MqttOptions {
  readonly address: string;
  readonly clientId: string;
  readonly user?: string;
  readonly password?: string;
  /** Default true: no session is kept. */
  readonly clean?: boolean;
}

interface Packet {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

const TYPES = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  subscribe: 8,
  suback: 9,
  disconnect: 14,
} as const;

export class MqttClient implements Disposable {
  /** `topic payload` of all that was received. */
  readonly heard: string[] = [];
  /** Return code of the connect; 0: accepted. */
  code: number | null = null;
  closed = false;
  readonly #socket: Socket;
  readonly #acks = new Map<string, Uint8Array>();
  #rest: Uint8Array = new Uint8Array();
  #id = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Uint8Array) => this.#receive(bytes));
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("error", () => {});
  }

  /** Connects; {@link code} says whether the server has accepted it. */
  static async open(options: MqttOptions): Promise<MqttClient> {
    const { host, port } = parseAddress(options.address);
    const socket = connect({ host, port });
    const client = new MqttClient(socket);
    const { user, password, clean = true } = options;
    const flags = (user === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40) | (clean ? 0x02 : 0);
    const fields = [options.clientId, user, password].filter((field) => field !== undefined);
    const head = [...text("MQTT"), 4, flags, 0, 60];
    client.#send(TYPES.connect, 0, [...head, ...fields.flatMap(text)]);
    await waitFor(() => client.code !== null || client.closed, { what: "the answer to CONNECT" });
    return client;
  }

  /** Subscribes. @returns the granted QoS, 128 for a refusal */
  async subscribe(filter: string, qos: 0 | 1): Promise<number> {
    const id = ++this.#id;
    this.#send(TYPES.subscribe, 2, [id >> 8, id & 255, ...text(filter), qos]);
    const body = await this.#ack(TYPES.suback, id);
    return body[2] ?? 128;
  }

  /** Publishes; with QoS 1 resolves when the server has taken it, or false when the connection was closed instead. */
  async publish(topic: string, payload: string, qos: 0 | 1): Promise<boolean> {
    const id = ++this.#id;
    const ids = qos === 0 ? [] : [id >> 8, id & 255];
    this.#send(TYPES.publish, qos << 1, [...text(topic), ...ids, ...new TextEncoder().encode(payload)]);
    if (qos === 0) return true;
    return (await this.#ack(TYPES.puback, id)).length > 0;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #ack(type: number, id: number): Promise<Uint8Array> {
    const key = `${type}/${id}`;
    await waitFor(() => this.#acks.has(key) || this.closed, {
      what: `an answer of type ${type}`,
      deadlineMs: 20_000,
    });
    return this.#acks.get(key) ?? new Uint8Array();
  }

  #send(type: number, flags: number, body: readonly number[]): void {
    const length: number[] = [];
    let rest = body.length;
    do {
      length.push((rest % 128) | (rest >= 128 ? 128 : 0));
      rest = Math.floor(rest / 128);
    } while (rest > 0);
    this.#socket.write(new Uint8Array([(type << 4) | flags, ...length, ...body]));
  }

  #receive(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    this.#rest = all;
    for (;;) {
      const packet = this.#next();
      if (packet === null) return;
      this.#take(packet);
    }
  }

  #next(): Packet | null {
    let length = 0;
    for (let at = 1; at < 5; at++) {
      const byte = this.#rest[at];
      if (byte === undefined) return null;
      length += (byte & 127) * 128 ** (at - 1);
      if (byte >= 128) continue;
      const end = at + 1 + length;
      if (this.#rest.length < end) return null;
      const first = this.#rest[0] ?? 0;
      const packet = { type: first >> 4, flags: first & 15, body: this.#rest.slice(at + 1, end) };
      this.#rest = this.#rest.slice(end);
      return packet;
    }
    return null;
  }

  #take({ type, flags, body }: Packet): void {
    const decoder = new TextDecoder();
    if (type === TYPES.connack) this.code = body[1] ?? 255;
    if (type === TYPES.puback || type === TYPES.suback) {
      this.#acks.set(`${type}/${((body[0] ?? 0) << 8) | (body[1] ?? 0)}`, body);
    }
    if (type !== TYPES.publish) return;
    const end = 2 + (((body[0] ?? 0) << 8) | (body[1] ?? 0));
    const qos = (flags >> 1) & 3;
    const payload = body.slice(qos === 0 ? end : end + 2);
    this.heard.push(`${decoder.decode(body.slice(2, end))} ${decoder.decode(payload)}`);
    if (qos > 0) this.#send(TYPES.puback, 0, [...body.slice(end, end + 2)]);
  }
}

/** A string as the protocol has it, with its length in front. */
function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [bytes.length >> 8, bytes.length & 255, ...bytes];
}
