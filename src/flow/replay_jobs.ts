/**
 * The replays of a site. Each is a document of the state bucket, so that a restart or another sidecar goes on with it where
 * it is; what is asked for (pause, resume, cancel) is written there, too, and heard by the sidecar that works on it.
 */
import { randomBytes } from "node:crypto";
import type { JetStreamClient } from "@nats-io/jetstream";
import { type KV, Kvm, KvWatchInclude } from "@nats-io/kv";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { STATE_BUCKET, stateKey } from "../model/names.ts";
import { hasEnded, MOST_REPLAYS, Replay, type ReplayReport } from "../model/replay.ts";
import { isWrongSequence } from "../nats/jetstream_errors.ts";
import { sleep } from "../nats/wait.ts";
import { type ReplayHost, runReplay } from "./replay_run.ts";

/** Of a replay that begins. */
export type NewReplay = Pick<
  Replay,
  "target" | "origin" | "from" | "until" | "missing" | "subjects" | "rate" | "dryRun" | "stream" | "epoch"
>;

export interface ReplayJobsOptions extends ReplayHost {
  readonly js: JetStreamClient;
}

/** Replays of a tenant that are kept when they have ended; the oldest go first. */
const MOST_KEPT = 50;
const LOOK_MS = 1_000;

interface Known {
  readonly replay: Replay;
  readonly revision: number;
}

export class ReplayJobs implements AsyncDisposable {
  readonly #options: ReplayJobsOptions;
  readonly #kv: KV;
  readonly #known = new Map<string, Known>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();
  #heard = new AbortController();
  #timer: ReturnType<typeof setInterval> | null = null;
  #stopWatch: () => void = () => {};

  private constructor(options: ReplayJobsOptions, kv: KV) {
    this.#options = options;
    this.#kv = kv;
  }

  /** Reads what the bucket holds, and goes on with what has not ended. */
  static async open(options: ReplayJobsOptions): Promise<ReplayJobs> {
    const kv = await new Kvm(options.js).open(STATE_BUCKET);
    const jobs = new ReplayJobs(options, kv);
    for await (const key of await kv.keys(stateKey.replay("*"))) {
      const entry = await kv.get(key);
      if (entry?.operation === "PUT") jobs.#take(entry.json(), entry.revision);
    }
    const watch = await kv.watch({ key: stateKey.replay("*"), include: KvWatchInclude.UpdatesOnly });
    jobs.#stopWatch = () => watch.stop();
    void (async () => {
      for await (const entry of watch) {
        if (entry.operation === "PUT") jobs.#take(entry.json(), entry.revision);
        else jobs.#known.delete(entry.key.slice(stateKey.replay("").length));
        jobs.#wake();
      }
    })().catch((error: unknown) => options.log("warn", `Replays are not watched: ${errorText(error)}`));
    jobs.#timer = setInterval(() => jobs.#sync(), LOOK_MS);
    jobs.#sync();
    return jobs;
  }

  /** Those that need their streams. */
  wanted(): readonly Replay[] {
    return [...this.#known.values()]
      .map(({ replay }) => replay)
      .filter((replay) => !replay.dryRun && !hasEnded(replay));
  }

  /** The replays of a tenant, newest first. */
  list(tenant: string): readonly ReplayReport[] {
    return [...this.#known.values()]
      .map(({ replay }) => replay)
      .filter((replay) => replay.tenant === tenant)
      .toSorted((left, right) => (left.startedAt < right.startedAt ? 1 : -1))
      .map(reportOf);
  }

  /** How a replay stands: when it has ended, or after `waitMs`. @throws LeafmeshError `not_found` */
  async get(tenant: string, id: string, waitMs = 0): Promise<ReplayReport> {
    const until = performance.now() + waitMs;
    for (;;) {
      const { replay } = this.#find(tenant, id);
      const leftMs = until - performance.now();
      if (hasEnded(replay) || replay.state === "paused" || leftMs <= 0 || this.#closing.signal.aborted) {
        return reportOf(replay);
      }
      await sleep(Math.min(leftMs, LOOK_MS), this.#heard.signal);
    }
  }

  /** Starts a replay. @throws LeafmeshError `conflict` when too many are under way */
  async start(tenant: string, asked: NewReplay): Promise<ReplayReport> {
    const active = [...this.#known.values()].filter(({ replay }) => !hasEnded(replay)).length;
    if (active >= MOST_REPLAYS) {
      throw new LeafmeshError(
        "conflict",
        `${active} replays are under way, the most of a site: wait for one`,
      );
    }
    const replay: Replay = {
      ...asked,
      id: `r${randomBytes(8).readBigUInt64BE().toString(36)}`,
      tenant,
      startedAt: new Date().toISOString(),
      endedAt: null,
      wanted: "run",
      state: "running",
      why: null,
      position: asked.from - 1,
      looked: 0,
      forwarded: 0,
      dropped: 0,
      quarantined: 0,
      samples: [],
    };
    const revision = await this.#kv.create(stateKey.replay(replay.id), JSON.stringify(replay));
    this.#take(replay, revision);
    await this.#prune(tenant);
    this.#options.changed();
    this.#sync();
    return reportOf(replay);
  }

  /**
   * Pauses, resumes or cancels a replay, or gives it another rate.
   * @throws LeafmeshError `not_found`, `conflict` when it has ended
   */
  async change(
    tenant: string,
    id: string,
    asked: { readonly wanted?: Replay["wanted"]; readonly rate?: number },
  ): Promise<ReplayReport> {
    this.#find(tenant, id);
    const replay = await this.#edit(id, (now) => {
      if (hasEnded(now)) throw new LeafmeshError("conflict", `Replay '${id}' is ${now.state}`);
      return { ...now, wanted: asked.wanted ?? now.wanted, rate: asked.rate ?? now.rate };
    });
    this.#wake();
    this.#sync();
    return reportOf(replay);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#wake();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#stopWatch();
    await Promise.all(this.#running.values());
  }

  #find(tenant: string, id: string): Known {
    const known = this.#known.get(id);
    if (known === undefined || known.replay.tenant !== tenant) {
      throw new LeafmeshError("not_found", `Tenant '${tenant}' has no replay '${id}'`);
    }
    return known;
  }

  #take(document: unknown, revision: number): void {
    const parsed = Replay.safeParse(document);
    if (!parsed.success) return;
    const { id } = parsed.data;
    if (revision > (this.#known.get(id)?.revision ?? 0))
      this.#known.set(id, { replay: parsed.data, revision });
  }

  /** Those that wait look again. */
  #wake(): void {
    const heard = this.#heard;
    this.#heard = new AbortController();
    heard.abort();
  }

  /** Works on what has not ended. */
  #sync(): void {
    if (this.#closing.signal.aborted || this.#options.leads?.() === false) return;
    for (const { replay } of this.#known.values()) {
      if (hasEnded(replay) || this.#running.has(replay.id)) continue;
      const { id } = replay;
      const work = runReplay({
        ...this.#options,
        signal: this.#closing.signal,
        now: () => this.#known.get(id)?.replay ?? null,
        edit: (edit) => this.#edit(id, edit),
        heard: () => this.#heard.signal,
      })
        .catch((error: unknown) => this.#options.log("warn", `Replay ${id} stops: ${errorText(error)}`))
        .finally(() => this.#running.delete(id));
      this.#running.set(id, work);
    }
  }

  /** Changes a document, whoever else changes it meanwhile. */
  async #edit(id: string, edit: (replay: Replay) => Replay): Promise<Replay> {
    const key = stateKey.replay(id);
    for (;;) {
      const entry = await this.#kv.get(key);
      if (entry === null || entry.operation !== "PUT") {
        this.#known.delete(id);
        throw new LeafmeshError("not_found", `There is no replay '${id}' any more`);
      }
      const replay = edit(Replay.parse(entry.json()));
      try {
        const revision = await this.#kv.update(key, JSON.stringify(replay), entry.revision);
        this.#take(replay, revision);
        return replay;
      } catch (error) {
        if (!isWrongSequence(error)) throw error;
      }
    }
  }

  async #prune(tenant: string): Promise<void> {
    const ended = this.list(tenant).filter(hasEnded).slice(MOST_KEPT);
    for (const { id } of ended) {
      await this.#kv.purge(stateKey.replay(id));
      this.#known.delete(id);
    }
  }
}

function reportOf({ wanted: _wanted, epoch: _epoch, ...report }: Replay): ReplayReport {
  return report;
}
