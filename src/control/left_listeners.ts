/**
 * Finds what nats-server has left behind of a source: a subscription that no source has any more. It comes about where two requests for
 * a RESET of one source are answered (see {@link SourceWaits}), and stays for as long as the server runs. Whoever delivers to the
 * source is told that somebody listens, also when nobody stores anything, and refuses to let it attach: the route stands still. And what
 * the subscription hears may be stored a second time. Nothing but a restart of the server ends it.
 *
 * The logs of tenants are not looked at: a stream that an app has made in its account may listen to the same subject.
 * Source: nats-server 2.15.1 `server/stream.go`, trySetupSourceConsumer: what it subscribes with replaces what it had.
 */
import type { JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import type { AlarmPort } from "../model/alarms.ts";
import { parseStreamName } from "../model/names.ts";
import type { Listener } from "../nats/listeners.ts";
import { repeat } from "../nats/wait.ts";
import { deliveredBy } from "./differences.ts";
import type { Plan } from "./plan.ts";

const EVERY_MS = 10_000;
/** Each is a question to the server, which goes through all subscriptions of the account. */
const MOST_AT_ONCE = 32;
/** Between two restarts, twice as long each time: one that does not help is no reason to go on with it. */
const RESTART_PAUSE_MS = 600_000;
const MOST_PAUSE_MS = 24 * 3_600_000;

/** A subject that a source of MESH listens to. */
export interface SourceSubject {
  readonly subject: string;
  /** Whether the source is in its stream: one that is not yet does not listen. */
  readonly attached: boolean;
  readonly tenant: string | undefined;
  readonly peer: string;
  /** The stream that has the source, what it sources from, and whose that is. */
  readonly target: string;
}

/** What was left behind elsewhere, of which a look knows nothing. */
export interface LeftBehind {
  /** What tells it from others. */
  readonly subject: string;
  readonly target: string;
  readonly tenant: string | undefined;
  readonly peer: string;
  readonly why: string;
  /** The server's name; `null`: one of several. */
  readonly at: string | null;
}

export interface LeftListenersOptions {
  /** The name of the server that can be restarted. */
  readonly server: () => string;
  /** Who listens to a subject of MESH. */
  readonly listeners: (subject: string) => Promise<readonly Listener[]>;
  /** What the sources of the site's streams listen to now, or will. */
  readonly subjects: () => Promise<readonly SourceSubject[]>;
  /** What else was found and is still there; default: nothing. */
  readonly others?: () => Promise<readonly LeftBehind[]>;
  /** Has the server restarted; `null`: there is no reason any more. */
  readonly restart: ((why: string | null) => void) | null;
  readonly alarms: AlarmPort;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  /** Between two looks, milliseconds; default 10 s. */
  readonly everyMs?: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** Who listened to a subject when they were too many, and those of them who did so before: one of these was left behind. */
interface TooMany {
  readonly ids: ReadonlySet<string>;
  readonly left: readonly Listener[];
}

/** Looks until it is disposed of. */
export class LeftListeners implements AsyncDisposable {
  readonly #options: LeftListenersOptions;
  readonly #now: () => number;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  /** By subject. */
  readonly #tooMany = new Map<string, TooMany>();
  /** Targets of the alarms that are raised, by subject. */
  readonly #raised = new Map<string, string>();
  /** Subjects of what was found elsewhere. */
  #others: readonly string[] = [];
  #restartAt = Number.NEGATIVE_INFINITY;
  #pauseMs = RESTART_PAUSE_MS;
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
    const { log, everyMs = EVERY_MS } = this.#options;
    // A server that is away is asked again.
    await repeat((signal) => this.#look(signal), {
      everyMs,
      signal: this.#ended.signal,
      failed: (text) => log("info", `Who listens where sources do cannot be told: ${text}`),
    });
  }

  /** Looks at the next subjects in turn. */
  async #look(signal: AbortSignal): Promise<void> {
    const others = (await this.#options.others?.()) ?? [];
    if (signal.aborted) return;
    for (const subject of this.#others)
      if (!others.some((one) => one.subject === subject)) this.#over(subject);
    this.#others = others.map(({ subject }) => subject);
    for (const one of others) this.#found(one, one.why, one.at);
    const all = await this.#options.subjects();
    this.#forget(new Set(all.map(({ subject }) => subject)));
    const from = this.#next < all.length ? this.#next : 0;
    this.#next = from + MOST_AT_ONCE;
    for (const one of all.slice(from, this.#next)) {
      if (signal.aborted) return;
      const listeners = await this.#options.listeners(one.subject);
      if (signal.aborted) return;
      const left = this.#leftOf(one, listeners);
      if (left.length === 0) {
        this.#over(one.subject);
        continue;
      }
      const servers = [...new Set(left.map(({ server }) => server))];
      const why = `somebody besides the source listens to ${one.subject}, which ${one.target} comes by, at ${servers.join(", ")}`;
      this.#found(one, why, servers.length === 1 ? (servers[0] ?? null) : null);
    }
  }

  /** Those who listen to a subject now and did so before, where they were more than there are sources, both times. */
  #leftOf({ subject, attached }: SourceSubject, listeners: readonly Listener[]): readonly Listener[] {
    const before = this.#tooMany.get(subject);
    const staying = listeners.filter(({ id }) => before?.ids.has(id) === true);
    if (listeners.length > (attached ? 1 : 0)) {
      this.#tooMany.set(subject, { ids: new Set(listeners.map(({ id }) => id)), left: staying });
      return staying;
    }
    // A source that has no answer yet listens from time to time.
    if (before !== undefined && staying.length > 0) return before.left;
    this.#tooMany.delete(subject);
    return [];
  }

  #found(
    { subject, target, tenant, peer }: Pick<LeftBehind, "subject" | "target" | "tenant" | "peer">,
    why: string,
    at: string | null,
  ): void {
    const { server, restart, alarms } = this.#options;
    this.#raised.set(subject, target);
    alarms.raise("listener-left", {
      target,
      peer,
      ...(tenant === undefined ? {} : { tenant }),
      detail: why,
    });
    // Of several servers, one has the source.
    const now = this.#now();
    if (restart === null || at !== server() || now < this.#restartAt) return;
    this.#pauseMs =
      now - this.#restartAt > MOST_PAUSE_MS ? RESTART_PAUSE_MS : Math.min(2 * this.#pauseMs, MOST_PAUSE_MS);
    this.#restartAt = now + this.#pauseMs;
    restart(why);
  }

  #over(subject: string): void {
    const target = this.#raised.get(subject);
    if (target === undefined) return;
    this.#raised.delete(subject);
    this.#options.alarms.clear("listener-left", target);
    if (this.#raised.size === 0) this.#options.restart?.(null);
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

/** The configurations of an account's streams. */
export async function streamConfigs(manager: JetStreamManager): Promise<readonly StreamConfig[]> {
  const configs: StreamConfig[] = [];
  for await (const { config } of manager.streams.list()) configs.push(config);
  return configs;
}

/**
 * What the sources of streams of MESH listen to, and those that a plan is about to put in.
 * @param configs of the streams as they are now
 */
export function sourceSubjects(
  configs: readonly StreamConfig[],
  steps: Pick<Plan, "steps">["steps"],
): readonly SourceSubject[] {
  const found = new Map<string, SourceSubject>();
  for (const config of configs) addSubjects(found, config, true);
  for (const step of steps) {
    const isOfMesh = step.type === "update-stream" && step.account.type === "mesh";
    if (isOfMesh || step.type === "attach-source") addSubjects(found, step.spec, false);
  }
  return [...found.values()];
}

/** Adds those that are not there yet. */
function addSubjects(
  found: Map<string, SourceSubject>,
  { name, sources = [], mirror }: Partial<StreamConfig> & Pick<StreamConfig, "name">,
  attached: boolean,
): void {
  for (const source of mirror === undefined ? sources : [...sources, mirror]) {
    const subject = deliveredBy(source);
    if (subject === null || found.has(subject)) continue;
    const [, peer = ""] = subject.split(".");
    const tenant = parseStreamName(source.name)?.tenant;
    found.set(subject, { subject, attached, tenant, peer, target: `${name}/${source.name} of ${peer}` });
  }
}
