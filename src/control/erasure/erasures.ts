/**
 * Erasures: ours, and those that peers ask for. Each is a document of the state bucket until it is done, so that a peer that is away,
 * or a restart, only delays it. A pass erases what is here, then asks the peers; it is done after a pass that found nothing more.
 */
import { randomBytes } from "node:crypto";
import type { JetStreamClient } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import {
  EraseAnswer,
  EraseBody,
  type ErasureReport,
  type ErasureRequest,
  MOST_ERASED,
  type PeerErasure,
} from "../../model/erasure.ts";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { STATE_BUCKET, stateKey } from "../../model/names.ts";
import type { Audit } from "../audit/audit.ts";
import { answerOf, CLOCK_SKEW_MS, hashOf, Job, kept, newJob, reportOf, sum, untilOf } from "./job.ts";
import { type HeldEvent, SiteCopies, type SiteCopiesOptions } from "./site_copies.ts";

const EVERY_MS = 5000;
const SOON_MS = 500;
const PASSES = 2;
/** Erasures that are kept when they are done; the oldest go first. */
const MOST_KEPT = 200;
/** Of pending ones of a peer. */
const MOST_OF_PEER = 32;
/** An erasure that was asked for longer ago is not begun: it may be an old message that is played again. */
const OLDEST_MS = 7 * 86_400_000;

export interface ErasuresOptions extends SiteCopiesOptions {
  readonly js: JetStreamClient;
  readonly audit: Audit;
  /** Asks a peer's sidecar; `sealed` is its answer as it signed it. */
  readonly ask: (
    peer: string,
    body: EraseBody,
  ) => Promise<{ readonly body: unknown; readonly sealed: string }>;
  readonly now: () => Date;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class Erasures implements AsyncDisposable {
  readonly #options: ErasuresOptions;
  readonly #copies: SiteCopies;
  readonly #kv: KV;
  readonly #jobs = new Map<string, Job>();
  #queue: Promise<unknown> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #ended = false;

  private constructor(options: ErasuresOptions, kv: KV) {
    this.#options = options;
    this.#kv = kv;
    this.#copies = new SiteCopies(options);
  }

  /** Reads what the bucket holds, and goes on with what is not done. */
  static async open(options: ErasuresOptions): Promise<Erasures> {
    const kv = await new Kvm(options.js).open(STATE_BUCKET);
    const erasures = new Erasures(options, kv);
    for await (const key of await kv.keys(stateKey.erasure(">"))) {
      const entry = await kv.get(key);
      const job = Job.safeParse(entry?.operation === "PUT" ? entry.json() : null);
      if (job.success) erasures.#jobs.set(key, job.data);
    }
    erasures.#schedule(SOON_MS);
    return erasures;
  }

  /** The erasures of a tenant, newest first. */
  list(tenant: string): ErasureReport[] {
    return [...this.#jobs.values()]
      .filter((job) => job.tenant === tenant)
      .toSorted((left, right) => (left.startedAt < right.startedAt ? 1 : -1))
      .map(reportOf);
  }

  /** @throws LeafmeshError `not_found` */
  get(tenant: string, id: string): ErasureReport {
    const job = [...this.#jobs.values()].find((one) => one.tenant === tenant && one.id === id);
    if (job === undefined) throw new LeafmeshError("not_found", `Tenant ${tenant} has no erasure '${id}'`);
    return reportOf(job);
  }

  /**
   * Erases events, or says what would be erased. Answers after the first pass.
   * @throws LeafmeshError `not_found` when there are none, `too_large` when there are too many
   */
  async start(tenant: string, request: ErasureRequest): Promise<ErasureReport> {
    const origin = request.origin ?? this.#options.site;
    const events = await this.#copies.select(tenant, request, MOST_ERASED);
    if (events.length === 0) {
      throw new LeafmeshError(
        "not_found",
        `Tenant ${tenant} has no such event of ${origin} under ${request.subject}`,
      );
    }
    if (events.length > MOST_ERASED) {
      throw new LeafmeshError(
        "too_large",
        `More than ${MOST_ERASED} events are meant: narrow it down, by time for example`,
      );
    }
    const now = this.#options.now().toISOString();
    const job = newJob({
      id: randomBytes(8).toString("hex"),
      by: null,
      tenant,
      origin,
      subject: request.subject,
      at: now,
      startedAt: now,
      events,
      peers: this.#receivers(tenant, origin, null),
    });
    if (request.dryRun) return await this.#dryRun(job);
    // What is to be erased is known before anything is: a crash delays it.
    await this.#keep(job);
    await this.#serial(() => this.#pass(stateKey.erasure(job.id)));
    this.#schedule(SOON_MS);
    return reportOf(this.#jobs.get(stateKey.erasure(job.id)) ?? job);
  }

  /** A peer asks. What is not its own is refused, and told. @throws LeafmeshError `request_invalid` for what is no request */
  async asked(peer: string, body: unknown): Promise<EraseAnswer> {
    const parsed = EraseBody.safeParse(body);
    if (!parsed.success) throw new LeafmeshError("request_invalid", "the body is not what the verb takes");
    const ask = parsed.data;
    try {
      return await this.#asked(peer, ask);
    } catch (error) {
      if (!(error instanceof LeafmeshError) || error.code !== "conflict") throw error;
      const { message: why } = error;
      this.#options.audit.denied({
        who: { type: "peer", name: peer },
        from: `link ${peer}`,
        operation: "erasure.asked",
        target: `tenant ${ask.tenant}`,
        result: why,
      });
      return { id: ask.id, state: "refused", erased: {}, why, peers: [] };
    }
  }

  async #asked(peer: string, ask: EraseBody): Promise<EraseAnswer> {
    const key = stateKey.erasure(`${peer}.${ask.id}`);
    const known = this.#jobs.get(key);
    if (known !== undefined && (known.tenant !== ask.tenant || known.origin !== ask.origin)) {
      throw new LeafmeshError("conflict", `${peer} has asked for another erasure under the name ${ask.id}`);
    }
    if (known !== undefined && known.hash === hashOf(ask.copies)) return answerOf(known);
    this.#requireOwn(peer, ask);
    const job = newJob({
      id: ask.id,
      by: peer,
      tenant: ask.tenant,
      origin: ask.origin,
      at: ask.at,
      startedAt: this.#options.now().toISOString(),
      asked: ask.copies,
      peers: this.#receivers(ask.tenant, ask.origin, peer),
    });
    if (ask.dryRun) return answerOf(await this.#dryRunJob(job));
    const of = [...this.#jobs.values()].filter((one) => one.by === peer && one.state === "pending").length;
    if (of >= MOST_OF_PEER)
      throw new LeafmeshError(
        "conflict",
        `${peer} has ${of} erasures here that are not done: ask again later`,
      );
    // Known, and with more events: the asker has found some that were on their way.
    await this.#options.audit.as({ type: "peer", name: peer }, `link ${peer}`, () =>
      this.#options.audit.event("erasure.asked", `tenant ${ask.tenant}`, {
        after: { id: ask.id, origin: ask.origin, events: ask.copies.length },
      }),
    );
    await this.#keep(known === undefined ? job : { ...job, erased: known.erased, events: known.events });
    this.#schedule(0);
    return answerOf(job);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#queue;
  }

  /** A peer may have that erased which this site imports from it, and nothing else. */
  #requireOwn(peer: string, { tenant, origin, at }: EraseBody): void {
    const found = this.#options.state().tenants.find(({ name }) => name === tenant);
    const imports =
      found?.imports.some((one) => one.from === peer && (one.origin ?? one.from) === origin) === true;
    if (!imports) {
      throw new LeafmeshError(
        "conflict",
        `${peer} asks to erase events of ${tenant} from ${origin}, which are not imported from it`,
      );
    }
    const age = this.#options.now().getTime() - Date.parse(at);
    if (age > OLDEST_MS || age < -CLOCK_SKEW_MS) {
      throw new LeafmeshError(
        "conflict",
        `${peer} asks for an erasure of ${at}: only those of the last 7 days are begun`,
      );
    }
  }

  #receivers(tenant: string, origin: string, but: string | null): string[] {
    const names = this.#copies.plans(tenant, origin).flatMap(({ policy }) => policy.to);
    return [...new Set(names)].filter((name) => name !== but).sort();
  }

  async #dryRun(job: Job): Promise<ErasureReport> {
    return { ...reportOf(await this.#dryRunJob(job)), dryRun: true };
  }

  async #dryRunJob(job: Job): Promise<Job> {
    const events = await this.#eventsOf(job);
    const erased = await this.#sweepHere(job, events, true);
    const peers = await Promise.all(job.peers.map((one) => this.#ask(job, one, events, true)));
    return {
      ...job,
      events,
      count: events.length,
      erased: Object.fromEntries(erased.erased),
      peers,
      state: "done",
    };
  }

  async #eventsOf(job: Job): Promise<Job["events"]> {
    if (job.by === null) return job.events;
    const found = await this.#copies.copiesOf(job.by, job.tenant, job.origin, job.asked, untilOf(job));
    const known = new Set(job.events.map(({ stream, sequence }) => `${stream} ${sequence}`));
    const more = found.filter(({ stream, sequence }) => !known.has(`${stream} ${sequence}`));
    return [...job.events, ...kept(more)];
  }

  async #sweepHere(job: Job, events: readonly HeldEvent[], dryRun: boolean) {
    const swept = await this.#copies.sweep(job.tenant, job.origin, events, dryRun);
    if (job.by === null) return swept;
    const mirror = await this.#copies.sweepMirror(job.by, job.tenant, job.asked, untilOf(job), dryRun);
    return { ...swept, erased: new Map([...swept.erased, ...mirror]) };
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work, work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  #schedule(afterMs: number): void {
    if (this.#ended) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#round(), afterMs);
  }

  async #round(): Promise<void> {
    const pending = [...this.#jobs].filter(([, job]) => job.state === "pending");
    for (const [key] of pending) {
      if (this.#ended) return;
      await this.#serial(() => this.#pass(key)).catch((error: unknown) =>
        this.#options.log("warn", `An erasure cannot go on: ${errorText(error)}`),
      );
    }
    const waits = [...this.#jobs.values()].filter((job) => job.state === "pending");
    if (waits.length > 0) this.#schedule(waits.some(({ passes }) => passes < 8) ? SOON_MS : EVERY_MS);
  }

  /** Erases what is here now, asks the peers that are not done, and keeps how it stands. */
  async #pass(key: string): Promise<void> {
    const before = this.#jobs.get(key);
    if (before === undefined || before.state !== "pending") return;
    const events = await this.#eventsOf(before);
    // Kept before it is erased: the log's copies are found by what they were copied from.
    if (events.length > before.events.length) await this.#keep({ ...before, events });
    const { erased, unsettled } = await this.#sweepHere(before, events, false);
    if (erased.size > 0) {
      await this.#options.audit.event("erasure.erased", `tenant ${before.tenant}`, {
        after: { id: before.id, by: before.by, origin: before.origin, erased: Object.fromEntries(erased) },
      });
    }
    // The second pass comes after what was under way when the first one began.
    const peers = await Promise.all(
      before.peers.map((one) =>
        one.state === "pending" || events.length > before.events.length
          ? this.#ask(before, one, events, false)
          : one,
      ),
    );
    const waiting = peers.filter(({ state }) => state === "pending");
    const why =
      unsettled ??
      (waiting.length === 0
        ? null
        : waiting.map(({ peer, why: reason }) => `${peer}: ${reason ?? "is at it"}`).join("; "));
    const passes = erased.size > 0 ? 1 : before.passes + 1;
    const done = why === null && passes >= PASSES;
    const job: Job = {
      ...before,
      events,
      count: Math.max(before.count, events.length),
      erased: sum(before.erased, erased),
      peers,
      passes,
      why,
      ...(done ? { state: "done", endedAt: this.#options.now().toISOString(), asked: [], events: [] } : {}),
    };
    if (done) {
      await this.#options.audit.event("erasure.done", `tenant ${job.tenant}`, {
        after: { id: job.id, by: job.by, erased: job.erased, peers: job.peers },
      });
    }
    await this.#keep(job);
  }

  async #ask(
    job: Job,
    known: PeerErasure,
    events: readonly HeldEvent[],
    dryRun: boolean,
  ): Promise<PeerErasure> {
    const { peer } = known;
    const copies = this.#copies.told(job.tenant, job.origin, events, peer);
    // Nothing was found here yet, or the peer gets nothing any more.
    if (copies.length === 0)
      return { ...known, state: "done", why: "nothing of it was sent there by a route of now" };
    const { id, tenant, origin, at } = job;
    try {
      const { body, sealed } = await this.#options.ask(peer, { id, tenant, origin, copies, at, dryRun });
      const answer = EraseAnswer.parse(body);
      const { state, erased, why, peers } = answer;
      if (!dryRun && state !== known.state) {
        await this.#options.audit.event("erasure.answer", `peer ${peer}`, { after: { id, signed: sealed } });
      }
      return { peer, state, erased, why, peers };
    } catch (error) {
      return { ...known, state: "pending", why: errorText(error).slice(0, 1000) };
    }
  }

  async #keep(job: Job): Promise<void> {
    const key = stateKey.erasure(job.by === null ? job.id : `${job.by}.${job.id}`);
    await this.#kv.put(key, JSON.stringify(job));
    this.#jobs.set(key, job);
    const done = [...this.#jobs].filter(([, one]) => one.state !== "pending");
    for (const [old] of done
      .toSorted(([, a], [, b]) => (a.startedAt < b.startedAt ? -1 : 1))
      .slice(0, -MOST_KEPT)) {
      await this.#kv.purge(old);
      this.#jobs.delete(old);
    }
  }
}
