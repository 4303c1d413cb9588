/** A peer that has gone bad: it holds the key of its site and speaks the leaf protocol by hand. */
import { randomBytes } from "node:crypto";
import { jetstreamManager } from "@nats-io/jetstream";
import { sealMessage } from "../../../src/control/envelope.ts";
import {
  accountHash,
  deliverSubject,
  inStream,
  MESH_ACCOUNT,
  outStream,
  rpcSubject,
  siteApiReset,
} from "../../../src/model/names.ts";
import type { SigningKey, SiteKeys } from "../../../src/nats/keys.ts";
import { RawLeaf, type RawLeafOptions } from "../../support/raw_leaf.ts";
import { waitFor } from "../../support/wait_for.ts";
import type { Attacker } from "./attempt.ts";
import type { StolenIdentity, World } from "./world.ts";

export const SITE = "berlin";
export const PEER = "tokyo";

const HEARTBEAT = (consumer: number, stream: number) =>
  `NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: ${consumer}\r\nNats-Last-Stream: ${stream}\r\n\r\n`;

/** What tokyo's server would connect to berlin with: its key, and over TLS its certificate. */
export async function leafOptions(world: World, { keys, tls }: StolenIdentity): Promise<RawLeafOptions> {
  const address = world.at(SITE).site.file.server?.leaf ?? "";
  return { address, key: keys.site, ...(tls === undefined ? {} : { tls: await tls(SITE) }) };
}

export class Rogue {
  readonly leaf: RawLeaf;
  readonly #attacker: Attacker;
  readonly #keys: SiteKeys;
  #delivered = 0;
  #sequence = 1000;

  private constructor(leaf: RawLeaf, attacker: Attacker, keys: SiteKeys) {
    this.leaf = leaf;
    this.#attacker = attacker;
    this.#keys = keys;
  }

  /** Links itself to berlin as tokyo. */
  static async link(
    attacker: Attacker,
    identity: StolenIdentity,
    connect: Readonly<Record<string, unknown>> = {},
  ): Promise<Rogue> {
    const options = await leafOptions(attacker.world, identity);
    // The server may not have noticed yet that the one before has gone.
    const leaf = await waitFor(
      async () => {
        const one = await RawLeaf.open({ ...options, connect });
        if (!one.closed) return one;
        one[Symbol.dispose]();
        throw new Error(one.lines.join(" | "));
      },
      { what: "the link" },
    );
    attacker.onEnd(() => leaf[Symbol.dispose]());
    leaf.subscribe("_R_.>");
    await leaf.ping();
    return new Rogue(leaf, attacker, identity.keys);
  }

  /** Sends what must not get through. @returns how it ended: the server's words, or silence */
  async trespass(
    subject: string,
    payload = this.#attacker.mark,
    reply = "_R_.rogue.answer",
  ): Promise<string> {
    this.leaf.publish(subject, payload, reply);
    return await this.outcome(subject);
  }

  /** What came back of what was sent last. @throws when there was an answer */
  async outcome(what: string, answer = "_R_.rogue."): Promise<string> {
    await this.leaf.ping();
    await this.#attacker.settle();
    if (!this.leaf.closed) await this.leaf.ping();
    const answered = this.received(answer);
    if (answered.length > 0) throw new Error(`${what} was answered: ${answered.join(" ").slice(0, 400)}`);
    const error = this.leaf.lines.find((line) => line.startsWith("-ERR"));
    return error ?? `${what}: silence`;
  }

  /** Control lines of messages under subjects with this prefix. */
  received(prefix: string): string[] {
    return this.leaf.lines.filter(
      (line) => line.startsWith(`LMSG ${prefix}`) || line.startsWith(`HMSG ${prefix}`),
    );
  }

  /** Everything that came over the link. */
  get heard(): string {
    return this.leaf.lines.join("\n");
  }

  /** Resets a consumer. @returns the answer, or `null` when none comes */
  async reset(stream: string, consumer: string, body: string): Promise<string | null> {
    const reply = `_R_.reset.${randomBytes(4).toString("hex")}`;
    this.leaf.publish(siteApiReset(SITE, stream, consumer), body, reply);
    const answered = () => {
      const at = this.leaf.lines.findIndex((line) => line.startsWith(`LMSG ${reply} `));
      return at < 0 ? null : (this.leaf.lines[at + 1] ?? null);
    };
    return await waitFor(answered, { deadlineMs: 1000 }).catch(() => null);
  }

  /** Asks berlin's sidecar something, signed. @returns what is in the answer's envelope */
  async ask(
    verb: string,
    body: unknown,
    forge: {
      readonly key?: SigningKey;
      readonly from?: string;
      readonly to?: string;
      readonly as?: string;
      readonly sealed?: string;
    } = {},
  ): Promise<string> {
    const message = {
      version: 1 as const,
      from: forge.from ?? PEER,
      to: forge.to ?? SITE,
      nonce: randomBytes(16).toString("hex"),
      at: Date.now(),
      verb,
      body,
    };
    const sealed = forge.sealed ?? sealMessage(message, forge.key ?? this.#keys.site);
    const reply = `_R_.ask.${randomBytes(4).toString("hex")}`;
    this.leaf.publish(rpcSubject(SITE, forge.as ?? PEER, verb), sealed, reply);
    await this.leaf.ping();
    const answer = await waitFor(
      () => {
        if (this.leaf.closed) return "closed";
        const at = this.leaf.lines.findIndex(
          (line) => line.includes(` ${reply} `) || line.includes(`${reply} `),
        );
        return at < 0 ? null : this.leaf.lines.slice(at + 1).find((line) => line.startsWith("{"));
      },
      { deadlineMs: 3000 },
    ).catch(() => "");
    return this.leaf.closed ? (this.leaf.lines.find((line) => line.startsWith("-ERR")) ?? "closed") : answer;
  }

  /** Tells berlin's sidecar from now on how far its streams are stored here, and that nothing is attached. */
  answerPositions(sequence: number): void {
    this.leaf.subscribe(rpcSubject(PEER, SITE, ">"));
    this.leaf.heard((line, payload) => {
      const [, subject = "", reply = ""] = line.split(" ");
      if (subject !== rpcSubject(PEER, SITE, "position")) return;
      const { nonce } = JSON.parse(JSON.parse(payload).message as string) as { nonce: string };
      const body = { attached: false, sequence };
      const answer = {
        version: 1 as const,
        from: PEER,
        to: SITE,
        nonce,
        at: Date.now(),
        verb: "answer",
        body,
      };
      this.leaf.publish(reply, sealMessage(answer, this.#keys.site));
    });
  }

  /**
   * Has berlin source `out_acme` from us, as it would from tokyo: its source is made to ask again, and gets the answer that
   * tokyo's server would give.
   */
  async attach(template: string): Promise<void> {
    const request = `mesh.${PEER}.API.CONSUMER.RESET.${outStream("acme")}.${SITE}`;
    this.leaf.subscribe(`mesh.${PEER}.API.CONSUMER.RESET.*.${SITE}`);
    this.leaf.subscribe(`$JS.FC.${PEER}.*.*.${SITE}.>`);
    await this.leaf.ping();
    const { control } = this.#attacker.world.at(SITE);
    const jsm = await jetstreamManager(control.mesh);
    const stream = inStream("acme", true);
    const { config } = await jsm.streams.info(stream);
    const from = this.leaf.lines.length;
    await jsm.streams.update(stream, { ...config, sources: [] });
    await jsm.streams.update(stream, config);
    const line = await waitFor(
      () => this.leaf.lines.slice(from).find((one) => one.includes(`MSG ${request} `)),
      { what: "the source to ask" },
    );
    const reply = line.split(" ")[2] ?? "";
    const answer = { ...(JSON.parse(template) as object), reset_seq: this.#sequence + 1 };
    this.leaf.publish(reply, JSON.stringify(answer));
    await this.leaf.ping();
    this.heartbeat();
    await this.leaf.ping();
  }

  /** Ends the link. */
  end(): void {
    this.leaf[Symbol.dispose]();
  }

  heartbeat(): void {
    this.leaf.publishHeaders(
      deliverSubject(PEER, SITE, outStream("acme")),
      HEARTBEAT(this.#delivered, this.#sequence),
      "",
    );
  }

  /** Delivers an event as tokyo's consumer would, under any subject, with any headers. */
  deliver(subject: string, payload: string, headers: Readonly<Record<string, string>> = {}): void {
    this.#delivered++;
    this.#sequence++;
    const time = Date.now() * 1e6;
    const reply = `$JS.ACK.${PEER}.${accountHash(MESH_ACCOUNT)}.${outStream("acme")}.${SITE}.1.${this.#sequence}.${this.#delivered}.${time}.0@${subject}`;
    const to = deliverSubject(PEER, SITE, outStream("acme"));
    const names = Object.entries(headers);
    if (names.length === 0) this.leaf.publish(to, payload, reply);
    else {
      const block = `NATS/1.0\r\n${names.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
      this.leaf.publishHeaders(to, block, payload, reply);
    }
  }
}
