/** The talk between this sidecar and those of its peers: who they are, what they accept, what they offer. */
import { randomBytes } from "node:crypto";
import { errors, type Msg, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { z } from "zod";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { rpcSubject } from "../model/names.ts";
import { dialUrls, type Peer } from "../model/schema/site.ts";
import { isNoResponders } from "../nats/jetstream_errors.ts";
import type { SigningKey } from "../nats/keys.ts";
import { Accepted, Offer, type PeerKnowledge, type Peers, UNKNOWN_PEER } from "./agreement.ts";
import type { PeerPosition } from "./apply.ts";
import { openMessage, requireAnswer, sealMessage } from "./envelope.ts";
import { RequestGuard } from "./request_guard.ts";
import { Turns } from "./turns.ts";

/** Asked again at this pace, and at once when either side changes. */
const SYNC_EVERY_MS = 2000;
const ANSWER_WITHIN_MS = 2000;

/** A position is looked up on the server: it costs more than what is known already. */
const POSITION_UNITS = 2;
/** Requests of one verb that a peer is asked at once: it works on eight of ours, and those of other verbs must find room beside. */
const ASKED_AT_ONCE = 3;

const SyncBody = z.strictObject({ accepted: z.array(Accepted) });
const SyncAnswer = z.strictObject({ offers: z.array(Offer).nullable() });
const PositionBody = z.strictObject({ tenant: z.string(), stream: z.string() });
const PositionAnswer = z.strictObject({
  attached: z.boolean(),
  sequence: z.number().int().nonnegative(),
  position: z.number().int().nonnegative().optional(),
  goesOnAfter: z.number().int().nonnegative().optional(),
  identity: z.string().max(256).optional(),
  older: z.boolean().optional(),
});
const NO_NONCE = "0".repeat(32);
const Refusal = z.strictObject({ error: z.string() });

/** What this site answers to its peers. */
export interface PeeringHost {
  readonly site: string;
  peers(): readonly Peer[];
  accepted(peer: string): readonly Accepted[];
  /** `null`: not known yet, the peer keeps what it has. */
  offers(peer: string): readonly Offer[] | null;
  /** How far this site has stored a stream of the peer. */
  position(peer: string, tenant: string, stream: string): Promise<PeerPosition>;
  /** Something that a peer said has changed what must be done. */
  changed(peer: string): void;
  /** Answers to further verbs. @throws what the peer is told */
  readonly verbs?: Readonly<Record<string, (peer: string, body: unknown) => Promise<unknown>>>;
  /** A message that was not what the peer may say was refused. */
  refused(peer: string, verb: string, why: string): void;
}

/** What is known of one peer, and the last thing that went wrong with it. */
interface PeerState {
  key: string;
  nextKey: string | undefined;
  knowledge: PeerKnowledge;
  /** Why the peer was refused or does not answer; `null` after a good answer. */
  why: string | null;
  syncing: boolean;
  again: boolean;
  /** By verb. */
  readonly turns: Map<string, Turns>;
}

/** Asks and answers the sidecars of the peers. */
export class Peering implements AsyncDisposable {
  readonly #nc: NatsConnection;
  readonly #key: SigningKey;
  readonly #host: PeeringHost;
  readonly #states = new Map<string, PeerState>();
  readonly #subscription: Subscription;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #guard = new RequestGuard(Date.now);

  constructor(nc: NatsConnection, key: SigningKey, host: PeeringHost) {
    this.#nc = nc;
    this.#key = key;
    this.#host = host;
    this.#subscription = nc.subscribe(rpcSubject(host.site, "*", "*"), {
      callback: (error, message) => {
        if (error === null) void this.#answer(message);
      },
    });
    this.#timer = setInterval(() => this.syncAll(), SYNC_EVERY_MS);
  }

  /** What is known of each peer now. */
  knowledge(): Peers {
    const peers = this.#host.peers();
    // Who was removed and comes again has to prove its key again.
    const names = new Set(peers.map(({ name }) => name));
    for (const name of this.#states.keys()) if (!names.has(name)) this.#states.delete(name);
    return new Map(peers.map((peer) => [peer.name, this.#state(peer).knowledge]));
  }

  /** Why a peer was refused or does not answer; `null` when it does. */
  why(peer: string): string | null {
    return this.#states.get(peer)?.why ?? null;
  }

  /** Asks every peer for its offers, and tells it what we accept. */
  syncAll(): void {
    const peers = this.#host.peers();
    this.#guard.keep(new Set(peers.map(({ name }) => name)));
    for (const peer of peers) void this.#sync(peer);
  }

  /** Tells a peer to ask again: what we offer or accept has changed. */
  poke(name: string): void {
    const peer = this.#host.peers().find((one) => one.name === name);
    if (peer === undefined) return;
    void this.#sync(peer);
    this.#request(peer, "poke", {}).catch(() => {
      // The peer asks again by itself within seconds.
    });
  }

  /**
   * How far a peer has stored a stream of ours.
   * @throws {LeafmeshError} `peer_unreachable` or `peer_refused`
   */
  async position(name: string, tenant: string, stream: string): Promise<PeerPosition> {
    const peer = this.#host.peers().find((one) => one.name === name);
    if (peer === undefined) throw new LeafmeshError("peer_unreachable", `${name} is not a peer`);
    const asked = await this.#inTurn(peer, "position", { tenant, stream }, ANSWER_WITHIN_MS);
    return PositionAnswer.parse(asked.body);
  }

  /**
   * Asks a peer something of its own kind.
   * @returns what it answers, and the answer as it signed it
   * @throws {LeafmeshError} `peer_unreachable` or `peer_refused`
   */
  async ask(
    name: string,
    verb: string,
    body: unknown,
    withinMs: number,
  ): Promise<{ readonly body: unknown; readonly sealed: string }> {
    const peer = this.#host.peers().find((one) => one.name === name);
    if (peer === undefined) throw new LeafmeshError("peer_unreachable", `${name} is not a peer`);
    return await this.#inTurn(peer, verb, body, withinMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#subscription.unsubscribe();
  }

  #state(peer: Peer): PeerState {
    const there = this.#states.get(peer.name);
    const { key, nextKey } = peer;
    // A key that was announced as the next one is of the same peer.
    if (there !== undefined && (there.key === key || there.nextKey === key)) {
      return Object.assign(there, { key, nextKey });
    }
    const state: PeerState = {
      key,
      nextKey,
      knowledge: UNKNOWN_PEER,
      why: null,
      syncing: false,
      again: false,
      turns: new Map(),
    };
    this.#states.set(peer.name, state);
    return state;
  }

  async #sync(peer: Peer): Promise<void> {
    const state = this.#state(peer);
    if (state.syncing) {
      state.again = true;
      return;
    }
    state.syncing = true;
    try {
      do {
        state.again = false;
        await this.#syncOnce(peer, state);
      } while (state.again);
    } finally {
      state.syncing = false;
    }
  }

  async #syncOnce(peer: Peer, state: PeerState): Promise<void> {
    try {
      const body = { accepted: this.#host.accepted(peer.name) };
      const { offers } = SyncAnswer.parse(await this.#request(peer, "sync", body));
      this.#learn(peer, state, { verified: "yes", ...(offers === null ? {} : { offered: offers }) });
      state.why = null;
    } catch (error) {
      state.why = errorText(error);
      if (error instanceof LeafmeshError && error.code === "peer_refused") {
        if (state.knowledge.verified !== "no") this.#host.refused(peer.name, "answer", error.message);
        this.#learn(peer, state, { verified: "no" });
      }
    }
  }

  #learn(peer: Peer, state: PeerState, news: Partial<PeerKnowledge>): void {
    const before = JSON.stringify(state.knowledge);
    state.knowledge = { ...state.knowledge, ...news };
    if (JSON.stringify(state.knowledge) !== before) this.#host.changed(peer.name);
  }

  async #request(peer: Peer, verb: string, body: unknown): Promise<unknown> {
    return (await this.#exchange(peer, verb, body, ANSWER_WITHIN_MS)).body;
  }

  /** What is asked of many streams at once must not be refused for that. */
  async #inTurn(
    peer: Peer,
    verb: string,
    body: unknown,
    withinMs: number,
  ): Promise<{ readonly body: unknown; readonly sealed: string }> {
    const { turns } = this.#state(peer);
    const own = turns.get(verb) ?? new Turns(ASKED_AT_ONCE);
    turns.set(verb, own);
    return await own.take(() => this.#exchange(peer, verb, body, withinMs));
  }

  async #exchange(
    peer: Peer,
    verb: string,
    body: unknown,
    withinMs: number,
  ): Promise<{ readonly body: unknown; readonly sealed: string }> {
    const nonce = randomBytes(16).toString("hex");
    const { site } = this.#host;
    const message = { version: 1 as const, from: site, to: peer.name, nonce, at: Date.now(), verb, body };
    const sealed = sealMessage(message, this.#key);
    let answer: Msg;
    try {
      answer = await this.#nc.request(rpcSubject(peer.name, site, verb), sealed, {
        timeout: withinMs,
      });
    } catch (error) {
      throw new LeafmeshError("peer_unreachable", whySilent(peer.name, error, withinMs), { cause: error });
    }
    const sender =
      peer.dial === undefined
        ? `the site that dialled as ${peer.name}`
        : `the site at ${dialUrls(peer).join(", ")}`;
    const from = { from: peer.name, to: site, key: peer.key, nextKey: peer.nextKey, sender };
    const opened = openMessage(answer.string(), from);
    const refusal = Refusal.safeParse(opened.body);
    // Who refused without a look at the question is the peer all the same.
    const unread = refusal.success && opened.nonce === NO_NONCE;
    if (!unread) requireAnswer(opened, nonce, sender);
    if (refusal.success) throw new LeafmeshError("peer_unreachable", `${peer.name}: ${refusal.data.error}`);
    return { body: opened.body, sealed: answer.string() };
  }

  async #answer(request: Msg): Promise<void> {
    const [, , , from, verb] = request.subject.split(".");
    const peer = this.#host.peers().find((one) => one.name === from);
    if (peer === undefined || verb === undefined) return;
    const { name } = peer;
    const units = verb === "position" ? POSITION_UNITS : 1;
    const admission = this.#guard.admit(name, request.data.length, units);
    if (admission !== "yes") {
      if (!this.#guard.mayAnswer(name, admission)) return;
      const why = admission === "too_large" ? "the request is too large" : "too many requests";
      // Without a look at it: its nonce is not known.
      this.#reply(request, peer, NO_NONCE, { error: `${this.#host.site} refused: ${why}` });
      return;
    }
    try {
      await this.#answerAdmitted(request, peer, verb);
    } finally {
      this.#guard.done(name);
    }
  }

  #reply(request: Msg, peer: Peer, nonce: string, body: unknown): void {
    const { site } = this.#host;
    const answer = {
      version: 1 as const,
      from: site,
      to: peer.name,
      nonce,
      at: Date.now(),
      verb: "answer",
      body,
    };
    request.respond(sealMessage(answer, this.#key));
  }

  async #answerAdmitted(request: Msg, peer: Peer, verb: string): Promise<void> {
    const { site } = this.#host;
    let nonce = NO_NONCE;
    try {
      const sender = `the site that speaks as ${peer.name}`;
      const message = openMessage(request.string(), {
        from: peer.name,
        to: site,
        key: peer.key,
        nextKey: peer.nextKey,
        sender,
      });
      nonce = message.nonce;
      // A signature is for one verb: a request must not be asked again as another one.
      if (message.verb !== verb) throw new LeafmeshError("request_invalid", "it was signed for another verb");
      const stale = this.#guard.fresh(peer.name, message);
      if (stale !== null) throw new LeafmeshError("request_invalid", stale);
      this.#reply(request, peer, nonce, await this.#handle(peer, verb, message.body));
    } catch (error) {
      const code = error instanceof LeafmeshError ? error.code : "internal";
      if (error instanceof LeafmeshError && code === "peer_refused") {
        const state = this.#state(peer);
        state.why = error.message;
        this.#learn(peer, state, { verified: "no" });
      }
      if (!this.#guard.mayAnswer(peer.name, code)) return;
      this.#host.refused(peer.name, verb, errorText(error));
      this.#reply(request, peer, nonceOf(request) ?? nonce, {
        error: `${site} refused: ${toldToPeer(error)}`,
      });
    }
  }

  async #handle(peer: Peer, verb: string, body: unknown): Promise<unknown> {
    switch (verb) {
      case "sync": {
        const { accepted } = bodyOf(SyncBody, body);
        this.#learn(peer, this.#state(peer), { accepted });
        return { offers: this.#host.offers(peer.name) };
      }
      case "position": {
        const { tenant, stream } = bodyOf(PositionBody, body);
        return await this.#host.position(peer.name, tenant, stream);
      }
      case "poke":
        void this.#sync(peer);
        return {};
      default: {
        const { verbs = {} } = this.#host;
        const handle = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
        if (handle === undefined) throw new LeafmeshError("request_invalid", "there is no such verb");
        return await handle(peer.name, body);
      }
    }
  }
}

/** The body of a request. @throws {LeafmeshError} `request_invalid` */
function bodyOf<T extends z.ZodType>(schema: T, body: unknown): z.infer<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new LeafmeshError("request_invalid", "the body is not what the verb takes");
}

/** What a peer is told of a failure: nothing of what else this site has. */
function toldToPeer(error: unknown): string {
  const known =
    error instanceof LeafmeshError && (error.code === "peer_refused" || error.code === "request_invalid");
  return known ? error.message : "it could not answer, see its log";
}

/** The nonce of a request that could not be opened, so that the asker can tie the refusal to its question. */
function nonceOf(request: Msg): string | null {
  try {
    const { message } = JSON.parse(request.string()) as { message: string };
    const { nonce } = JSON.parse(message) as { nonce: unknown };
    return typeof nonce === "string" && nonce.length >= 16 && nonce.length <= 64 ? nonce : null;
  } catch {
    return null;
  }
}

function whySilent(peer: string, error: unknown, withinMs: number): string {
  if (isNoResponders(error)) {
    return `the sidecar of ${peer} does not answer: no link, or it is not running`;
  }
  if (error instanceof errors.TimeoutError)
    return `the sidecar of ${peer} did not answer within ${withinMs} ms`;
  return `the sidecar of ${peer} could not be asked: ${errorText(error)}`;
}
