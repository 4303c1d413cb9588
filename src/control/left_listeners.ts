/**
 * Finds what nats-server has left behind of a source: a subscription that no source has any more. It comes about where two requests for
 * a RESET of one source are answered (see {@link SourceWaits}), and stays for as long as the server runs. Whoever delivers to the
 * source is told that somebody listens, also when nobody stores anything, and refuses to let it attach: the route stands still. And what
 * the subscription hears may be stored a second time. Nothing but a restart of the server ends it.
 * Source: nats-server 2.15.1 `server/stream.go`, trySetupSourceConsumer: what it subscribes with replaces what it had.
 */
import type { StreamSource } from "@nats-io/jetstream";
import type { AlarmPort } from "../model/alarms.ts";
import { errorText } from "../model/errors.ts";
import { parseStreamName } from "../model/names.ts";
import type { SystemApi } from "../nats/system_api.ts";
import { sleep } from "../nats/wait.ts";
import { deliveredBy } from "./differences.ts";
import type { Planned } from "./reconcile.ts";

const EVERY_MS = 10_000;
/** Each is a question to the server, which goes through all subscriptions of the account. */
const MOST_AT_ONCE = 32;
/** Between two restarts: one that does not help is no reason to go on with it. */
const RESTART_PAUSE_MS = 600_000;

/** A subject that a source listens to. */
export interface SourceSubject {
  readonly subject: string;
  /** Whether the source is in its stream: one that is not yet does not listen. */
  readonly attached: boolean;
  readonly tenant: string | undefined;
  /** The stream that has the source, and what it sources from. */
  readonly target: string;
}

export interface LeftListenersOptions {
  readonly system: Pick<SystemApi, "serverName">;
  /** Who listens to a subject of MESH, by the server's name. */
  readonly listeners: (subject: string) => Promise<ReadonlyMap<string, readonly string[]>>;
  /** What the sources of the site's streams listen to, or will. */
  readonly subjects: () => readonly SourceSubject[];
  /** Has the connected server restarted; `null`: it is not ours. */
  readonly restart: ((why: string) => void) | null;
  readonly alarms: AlarmPort;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  /** Between two looks, milliseconds; default 10 s. */
  readonly everyMs?: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** Who listened to a subject at one server when they were too many, and whether one of them did so before: it was left behind. */
interface TooMany {
  readonly ids: ReadonlySet<string>;
  readonly left: boolean;
}

/** Looks until it is disposed of. */
export class LeftListeners implements AsyncDisposable {
  readonly #options: LeftListenersOptions;
  readonly #now: () => number;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  /** By subject, then by the server's name. */
  readonly #tooMany = new Map<string, ReadonlyMap<string, TooMany>>();
  /** Targets of the alarms that are raised, by subject. */
  readonly #raised = new Map<string, string>();
  #restartAt = Number.NEGATIVE_INFINITY;
  #next = 0;

  constructor(options: LeftListenersOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    let failed = "";
    while (!signal.aborted) {
      try {
        await this.#look(signal);
        failed = "";
      } catch (thrown) {
        // A server that is away is asked again.
        const text = errorText(thrown);
        if (text !== failed && !signal.aborted)
          this.#options.log("info", `Who listens where sources do cannot be told: ${text}`);
        failed = text;
      }
      await sleep(this.#options.everyMs ?? EVERY_MS, signal);
    }
  }

  /** Looks at the next subjects in turn. */
  async #look(signal: AbortSignal): Promise<void> {
    const all = this.#options.subjects();
    this.#forget(new Set(all.map(({ subject }) => subject)));
    const from = this.#next < all.length ? this.#next : 0;
    this.#next = from + MOST_AT_ONCE;
    for (const one of all.slice(from, this.#next)) {
      const left = await this.#leftAt(one);
      if (signal.aborted) return;
      if (left.length === 0) this.#over(one.subject);
      else this.#found(one, left);
    }
  }

  /** Names of the servers where somebody listens to a subject besides the source. */
  async #leftAt({ subject, attached }: SourceSubject): Promise<readonly string[]> {
    const before = this.#tooMany.get(subject);
    const now = new Map<string, TooMany>();
    for (const [server, listeners] of await this.#options.listeners(subject)) {
      const ids = new Set(listeners);
      const last = before?.get(server);
      const stays = last !== undefined && !last.ids.isDisjointFrom(ids);
      if (ids.size > (attached ? 1 : 0)) now.set(server, { ids, left: stays });
      // A source that has no answer yet listens from time to time.
      else if (stays) now.set(server, last);
    }
    this.#tooMany.set(subject, now);
    return [...now].filter(([, { left }]) => left).map(([server]) => server);
  }

  #found({ subject, target, tenant }: SourceSubject, left: readonly string[]): void {
    const { system, restart, alarms } = this.#options;
    const why = `somebody besides the source listens to ${subject}, which ${target} comes by, at ${left.join(", ")}`;
    this.#raised.set(subject, target);
    alarms.raise("listener-left", { target, ...(tenant === undefined ? {} : { tenant }), detail: why });
    if (restart === null || !left.includes(system.serverName) || this.#now() < this.#restartAt) return;
    this.#restartAt = this.#now() + RESTART_PAUSE_MS;
    restart(why);
  }

  #over(subject: string): void {
    const target = this.#raised.get(subject);
    if (target === undefined) return;
    this.#raised.delete(subject);
    this.#options.alarms.clear("listener-left", target);
  }

  /** Drops what is no subject of a source any more. */
  #forget(subjects: ReadonlySet<string>): void {
    for (const subject of this.#tooMany.keys()) {
      if (subjects.has(subject)) continue;
      this.#tooMany.delete(subject);
      this.#over(subject);
    }
  }
}

/** What the sources of the site's streams listen to: those of peers, those of logs, and those that a plan is about to put in. */
export function sourceSubjects(planned: Pick<Planned, "observed" | "plan"> | null): SourceSubject[] {
  if (planned === null) return [];
  const { observed, plan } = planned;
  const { mesh, logs } = observed;
  const configs = [...mesh.values()].map(({ info }) => info.config);
  for (const info of logs.values()) if (info !== null) configs.push(info.config);
  const there = configs.flatMap(({ name, sources = [], mirror }) =>
    (mirror === undefined ? sources : [...sources, mirror]).flatMap((source) =>
      subjectOf(name, source, true),
    ),
  );
  const known = new Set(there.map(({ subject }) => subject));
  const out = plan.steps.flatMap((step) =>
    step.type === "attach-source" ? subjectOf(step.spec.name, step.source, false) : [],
  );
  return [...there, ...out.filter(({ subject }) => !known.has(subject))];
}

function subjectOf(stream: string, source: StreamSource, attached: boolean): SourceSubject[] {
  const subject = deliveredBy(source);
  if (subject === null) return [];
  const tenant = parseStreamName(source.name)?.tenant;
  return [{ subject, attached, tenant, target: `${stream}/${source.name}` }];
}
