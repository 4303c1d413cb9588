/**
 * Redrives of a site: each goes through the dead letters of a filter, oldest first, and hands them to the views of their policies,
 * a few at a time and no faster than its rate. A job lives in memory: when the sidecar ends, the letters that it has not
 * come to are dead letters as before, and the next job does them.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import { nuid } from "@nats-io/transport-node";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { RedriveReport, RedriveSample } from "../model/redrive.ts";
import { sleep } from "../nats/wait.ts";
import {
  type DeadLetterDetail,
  type DeadLetterFilter,
  getDeadLetter,
  lastDeadLetter,
  readDeadLetters,
} from "./dead_letters.ts";
import type { Redriven } from "./redrive_queue.ts";

export interface RedriveRequest {
  /** One dead letter; else all of the filter that are there now. */
  readonly sequence?: number;
  readonly filter: DeadLetterFilter;
  /** Only says what would become of each. */
  readonly dryRun: boolean;
  /** Dead letters a second, at most. */
  readonly rate: number;
}

export interface RedriveJobsOptions {
  readonly jsm: JetStreamManager;
  /** Has a policy's view redrive. @throws LeafmeshError `not_found` when there is no such view, `conflict` while it does not run */
  readonly redrive: (
    tenant: string,
    policy: string,
    sequences: readonly number[],
    dryRun: boolean,
  ) => Promise<readonly (Redriven | null)[]>;
  readonly log: (message: string) => void;
  /** How long a view is waited for that does not run, or takes nothing for its limits. Default two minutes. */
  readonly patienceMs?: number;
}

const BATCH = 64;
/** Bytes of the payloads of a batch, which are in memory together; a larger one goes alone. */
const BATCH_BYTES = 4 * 1024 * 1024;
const PATIENCE_MS = 120_000;
const RETRY_MS = 250;
/** Of each outcome. */
const SAMPLES = 10;
/** Reports that are kept of a tenant. */
const REPORTS = 20;

interface Letter {
  readonly sequence: number;
  readonly subject: string;
  readonly policy: string;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

class Job {
  readonly report: Mutable<RedriveReport>;
  readonly abort = new AbortController();
  readonly ended = new AbortController();
  readonly #samples: RedriveSample[] = [];
  readonly #startedMs = performance.now();
  #paced = 0;

  constructor(tenant: string, { dryRun, rate }: RedriveRequest) {
    this.report = {
      id: nuid.next(),
      tenant,
      state: "running",
      dryRun,
      rate,
      startedAt: new Date().toISOString(),
      endedAt: null,
      done: 0,
      forwarded: 0,
      dropped: 0,
      kept: 0,
      samples: this.#samples,
      error: null,
    };
  }

  /** Waits until `count` more are due. */
  async pace(count: number): Promise<void> {
    const dueMs = this.#startedMs + (1000 * this.#paced) / this.report.rate;
    this.#paced += count;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs, this.abort.signal);
  }

  count({ sequence, subject, policy }: Letter, result: Exclude<Redriven, { type: "gone" }>): void {
    const { report } = this;
    report.done++;
    const outcome = ({ forwarded: "forward", dropped: "drop", kept: "keep" } as const)[result.type];
    const nth = ++report[result.type];
    if (nth > SAMPLES) return;
    const reason = result.type === "forwarded" ? null : result.reason;
    const error = result.type === "kept" ? result.error : null;
    this.#samples.push({ sequence, subject, policy, outcome, reason, error });
  }

  end(state: "done" | "canceled" | "failed", error: string | null = null): void {
    this.report.state = state;
    this.report.error = error;
    this.report.endedAt = new Date().toISOString();
    this.ended.abort();
  }
}

export class RedriveJobs implements AsyncDisposable {
  readonly #options: RedriveJobsOptions;
  readonly #jobs = new Map<string, Job[]>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: RedriveJobsOptions) {
    this.#options = options;
  }

  /**
   * Starts a redrive.
   * @throws LeafmeshError `conflict` while another one of the tenant runs, `not_found` when there is no such dead letter
   */
  async start(tenant: string, request: RedriveRequest): Promise<RedriveReport> {
    const jobs = this.#jobs.get(tenant) ?? [];
    const running = jobs.find(({ report }) => report.state === "running");
    if (running !== undefined) {
      throw new LeafmeshError(
        "conflict",
        `Redrive ${running.report.id} of tenant '${tenant}' still runs: wait for it, or cancel it`,
      );
    }
    const job = new Job(tenant, request);
    this.#jobs.set(tenant, [job, ...jobs].slice(0, REPORTS));
    const letters = await this.#letters(tenant, request).catch((error: unknown) => {
      this.#jobs.set(tenant, jobs);
      throw error;
    });
    const work = this.#run(job, letters).finally(() => this.#running.delete(work));
    this.#running.add(work);
    return snapshot(job);
  }

  /** The last redrives of a tenant, newest first. */
  list(tenant: string): readonly RedriveReport[] {
    return (this.#jobs.get(tenant) ?? []).map(snapshot);
  }

  /** How far a redrive is: when it has ended, or after `waitMs`. @throws LeafmeshError `not_found` */
  async get(tenant: string, id: string, waitMs = 0): Promise<RedriveReport> {
    const job = this.#find(tenant, id);
    if (waitMs > 0 && job.report.state === "running") {
      await sleep(waitMs, AbortSignal.any([job.ended.signal, this.#closing.signal]));
    }
    return snapshot(job);
  }

  /** Ends a redrive after the letters that it has in hand. @throws LeafmeshError `not_found` */
  cancel(tenant: string, id: string): RedriveReport {
    const job = this.#find(tenant, id);
    job.abort.abort();
    return snapshot(job);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    for (const job of [...this.#jobs.values()].flat()) job.abort.abort();
    await Promise.all(this.#running);
  }

  #find(tenant: string, id: string): Job {
    const job = this.#jobs.get(tenant)?.find(({ report }) => report.id === id);
    if (job === undefined) throw new LeafmeshError("not_found", `Tenant '${tenant}' has no redrive '${id}'`);
    return job;
  }

  async #letters(
    tenant: string,
    { sequence, filter }: RedriveRequest,
  ): Promise<AsyncIterable<DeadLetterDetail>> {
    const { jsm } = this.#options;
    if (sequence === undefined) {
      const last = await lastDeadLetter(jsm, tenant);
      return readDeadLetters(jsm, tenant, filter, last);
    }
    const letter = await getDeadLetter(jsm, tenant, sequence);
    return (async function* () {
      yield letter;
    })();
  }

  async #run(job: Job, letters: AsyncIterable<DeadLetterDetail>): Promise<void> {
    const { tenant, dryRun, rate } = job.report;
    const most = Math.max(1, Math.min(BATCH, Math.floor(rate / 10)));
    let batch: Letter[] = [];
    let bytes = 0;
    try {
      for await (const { sequence, subject, policy, data } of letters) {
        if (job.abort.signal.aborted) break;
        const full = batch.length >= most || bytes + data.length > BATCH_BYTES;
        if (batch.length > 0 && (full || batch[0]?.policy !== policy)) {
          await this.#redrive(job, batch);
          batch = [];
          bytes = 0;
        }
        // Without its payload: the view reads it when its turn has come.
        batch.push({ sequence, subject, policy });
        bytes += data.length;
      }
      if (!job.abort.signal.aborted) await this.#redrive(job, batch);
      job.end(job.abort.signal.aborted ? "canceled" : "done");
    } catch (error) {
      job.end("failed", errorText(error));
    }
    if (dryRun) return;
    const { state, forwarded, dropped, kept } = job.report;
    this.#options.log(
      `Redrive of tenant '${tenant}' is ${state}: ${forwarded} forwarded, ${dropped} dropped, ${kept} kept`,
    );
  }

  /** One batch of one policy, again and again until it is known what has become of each. */
  async #redrive(job: Job, batch: readonly Letter[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    await job.pace(batch.length);
    if (job.abort.signal.aborted) return;
    const { tenant } = job.report;
    const { policy } = first;
    let left = batch;
    let known = performance.now();
    const tried = new Set<number>();
    while (left.length > 0) {
      const results = await this.#ask(job, policy, left, known);
      if (results === null) {
        // It may have ended in the middle.
        for (const { sequence } of left) tried.add(sequence);
        continue;
      }
      const unknown: Letter[] = [];
      for (const [index, letter] of left.entries()) {
        const result = results[index] ?? null;
        if (result === null) {
          unknown.push(letter);
          tried.add(letter.sequence);
        } else if (result.type !== "gone") job.count(letter, result);
        // What was on its way when the worker ended and is gone now had been stored.
        else if (tried.has(letter.sequence)) job.count(letter, { type: "forwarded" });
      }
      if (unknown.length < left.length) known = performance.now();
      left = unknown;
      if (left.length > 0) this.#requirePatience(known, `View '${tenant}/${policy}' does not take them`);
      if (job.abort.signal.aborted) return;
      if (left.length > 0) await sleep(RETRY_MS, job.abort.signal);
    }
  }

  /** @returns `null` when the view does not run: ask again */
  async #ask(
    job: Job,
    policy: string,
    letters: readonly Letter[],
    sinceMs: number,
  ): Promise<readonly (Redriven | null)[] | null> {
    const { tenant, dryRun } = job.report;
    const sequences = letters.map(({ sequence }) => sequence);
    try {
      return await this.#options.redrive(tenant, policy, sequences, dryRun);
    } catch (error) {
      if (error instanceof LeafmeshError && error.code === "not_found") {
        return sequences.map(() => ({ type: "kept", reason: "no_view", error: errorText(error) }));
      }
      if (job.abort.signal.aborted) throw error;
      this.#requirePatience(sinceMs, errorText(error));
      await sleep(RETRY_MS, job.abort.signal);
      return null;
    }
  }

  #requirePatience(sinceMs: number, why: string): void {
    if (performance.now() - sinceMs < (this.#options.patienceMs ?? PATIENCE_MS)) return;
    throw new LeafmeshError("timeout", why);
  }
}

function snapshot({ report }: Job): RedriveReport {
  return { ...report, samples: [...report.samples] };
}
