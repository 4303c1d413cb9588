/** Finds that the store is an older copy, here or at a peer, and says which events are meant: never is one passed over in silence. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { DesiredState } from "../../model/desired.ts";
import { errorText } from "../../model/errors.ts";
import { parseStreamName, type StreamName } from "../../model/names.ts";
import type { MayChange } from "../../nats/files.ts";
import { sleep } from "../../nats/wait.ts";
import type { Missed } from "../apply_sources.ts";
import type { PeerLacks } from "../switch.ts";
import { HoldNote } from "./hold_note.ts";
import type { PeerAhead } from "./place.ts";
import {
  type Positions,
  positionsNow,
  readPositions,
  type Setback,
  setbacks,
  writePositions,
} from "./position_note.ts";
import { forgetRestored, isRestored } from "./restored_mark.ts";
import { type RewindAsk, recallRewinds } from "./rewind.ts";
import { RewoundNote } from "./rewound_note.ts";
import { SetbackNote } from "./setback_note.ts";

const EVERY_MS = 1000;
/** At most this share of the time goes into looking at a store of many streams. */
const LOOK_SHARE = 20;
/** An older copy that was taken since the last note would not be known as one: a server that answers late is asked again soon. */
const MOST_MS = 5000;
/** Above what was noted: more than can have been stored since. */
const BEYOND = 1_000_000_000;

/** When a stream was made that is noted, not there, and not made anew yet: also the next start must know where it ended. */
const MISSING = "";

/** Kinds of streams of what peers gave. */
const REMOTE: ReadonlySet<StreamName["type"]> = new Set(["in", "quiet", "mirror"]);

export type RollbackAlarm = "exporter-rolled-back" | "importer-rolled-back" | "stream-made-anew";

export interface RollbacksOptions {
  /** The data folder, outside of the store. */
  readonly folder: string;
  readonly mesh: JetStreamManager;
  /** Asked before a note is replaced. Default: they always may be. */
  readonly mayChange?: MayChange;
  readonly raise: (
    name: RollbackAlarm,
    report: {
      readonly target: string;
      readonly tenant?: string;
      readonly peer?: string;
      readonly detail: string;
    },
  ) => void;
  /** Tells the audit trail. */
  readonly tell: (operation: string, target: string, result: string) => Promise<void>;
  readonly now: () => Date;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class Rollbacks implements AsyncDisposable {
  /** Where routes are held. */
  readonly holds: HoldNote;
  /** Which sources were told to go back. */
  readonly rewound: RewoundNote;
  /** Which streams are older copies. */
  readonly setbacks: SetbackNote;
  readonly #options: RollbacksOptions;
  readonly #ended = new AbortController();
  #noted: Positions | null;
  /** Streams as they stand in the note. */
  #written: string | undefined;
  /** Whether the store has been held against what was noted: what was noted must not be replaced before. */
  #looked = false;
  /** How often the server was restarted. */
  #restarts = 0;
  /** Last sequences of streams that were noted and are not there. */
  readonly #gone = new Map<string, number>();
  #running: Promise<void> = Promise.resolve();
  /** What was said of a target last: a step that is tried again says nothing new. */
  readonly #said = new Map<string, string>();

  private constructor(
    options: RollbacksOptions,
    noted: Positions | null,
    notes: Pick<Rollbacks, "holds" | "rewound" | "setbacks">,
  ) {
    this.#options = options;
    this.holds = notes.holds;
    this.rewound = notes.rewound;
    this.setbacks = notes.setbacks;
    this.#noted = noted;
    this.#written = JSON.stringify(noted?.streams);
  }

  /** Reads what was noted. Nothing is noted before {@link look} or {@link watch}. @throws {LeafmeshError} `data_folder_unusable` */
  static async open(options: RollbacksOptions): Promise<Rollbacks> {
    const { folder, mayChange } = options;
    return new Rollbacks(options, await readPositions(folder), {
      holds: await HoldNote.open(folder, mayChange),
      rewound: await RewoundNote.open(folder, mayChange),
      setbacks: await SetbackNote.open(folder, mayChange),
    });
  }

  /**
   * Holds what is stored against what was noted, and tells the sources of an older copy what they were told since. What was noted
   * stays as it is until all of that is done: one that fails can be tried again.
   * @param hold what else must be done first where streams have less; default: nothing
   * @returns how many streams have less
   */
  async look(state: DesiredState, hold: () => Promise<unknown> = async () => {}): Promise<number> {
    const { mesh, log } = this.#options;
    const names = state.tenants.map(({ name }) => name);
    const recalled = await recallRewinds(mesh, this.rewound, names);
    if (recalled > 0) log("warn", `${recalled} sources go back again: the copy is of before they were told`);
    await this.#noteRestored();
    if (this.#noted === null) {
      this.#looked = true;
      return 0;
    }
    const now = await positionsNow(mesh, this.#options.now());
    const found = setbacks(this.#noted, now).filter((one) => isWanted(one, state));
    // A store is put back as a whole: another stream may have got, and given, what was not noted yet.
    const older = found.some(({ type }) => type === "rolled-back");
    const copies = older ? Object.entries(now.streams).map(([stream, { last }]) => ({ stream, last })) : [];
    await this.setbacks.add(copies, state);
    for (const one of found) {
      if (one.type === "made-anew") this.#gone.set(one.stream, one.last);
      this.#sayOwn(one);
    }
    if (found.length > 0) await hold();
    // Said once: from now on the store counts.
    this.#noted = now;
    this.#looked = true;
    return found.length;
  }

  /** Of a data folder that was put back every stream is an older copy, whatever the notes in it say. */
  async #noteRestored(): Promise<void> {
    const { mesh, folder, now, log } = this.#options;
    if (!(await isRestored(folder))) return;
    const { streams } = await positionsNow(mesh, now());
    await this.setbacks.addAll(Object.entries(streams).map(([stream, { last }]) => ({ stream, last })));
    await forgetRestored(folder);
    log(
      "warn",
      "The data folder was restored from a backup: what came since then is known by the word of the peers alone",
    );
  }

  /** Forgets what was noted of routes that are not wanted any more. */
  keep(state: DesiredState): void {
    this.setbacks.keep(state).catch((error: unknown) => this.#options.log("warn", errorText(error)));
  }

  /** The server is restarted: nothing is noted until the next {@link look} has ended. */
  restarting(): void {
    this.#restarts++;
    this.#looked = false;
  }

  /** Notes from now on how far the streams are. */
  watch(): void {
    this.#looked = true;
    this.#running = this.#watch();
  }

  /** Where a stream begins that is made now: behind all that one of its name may have given to peers. */
  firstSequence(stream: string): number {
    const last = Math.max(this.#noted?.streams[stream]?.last ?? 0, this.#gone.get(stream) ?? 0);
    return last === 0 ? 1 : last + BEYOND;
  }

  /** A peer has events that we have lost. */
  peerAhead(found: PeerAhead): void {
    const { tenant, peer, stream, first, last, positions, after } = found;
    const of =
      positions === null ? "" : ` (made of events ${positions.first} to ${positions.last} of the tenant)`;
    const transit = parseStreamName(stream)?.type;
    const again =
      transit === "in" || transit === "quiet"
        ? `; what is fetched again from other sites may come to ${peer} a second time`
        : "";
    this.#say("exporter-rolled-back", {
      target: `${stream} ${peer}`,
      tenant,
      peer,
      detail: `${peer} has stored events ${first} to ${last} of ${stream}${of}, which this store has lost: it is an older copy. ${peer} goes on after ${after} with what is new${again}`,
    });
  }

  /** A peer has lost events that it gave us. */
  exporterBack(peer: string, { tenant, origin, stream, has, after }: RewindAsk): void {
    this.#say("exporter-rolled-back", {
      target: `${stream} of ${peer}`,
      tenant,
      peer,
      detail: `${peer} has lost events ${after + 1} to ${has} of ${stream} (of ${origin}), which are stored here: its store is an older copy. What it publishes now is taken from ${after + 1} on`,
    });
  }

  /** What a peer gave us before its route was made anew, and this store has lost, does not come again. */
  missed({ tenant, peer, origin, stream, first, last }: Missed): void {
    this.#say("importer-rolled-back", {
      target: `${stream} of ${peer}`,
      tenant,
      peer,
      detail: `the store is an older copy, and the route by which ${peer} gives events of ${origin} begins behind what is stored of them: what one before it has let out of events ${first} to ${last} of ${tenant} at ${peer} is not fetched again. Where there was one, have ${peer} replay them`,
    });
  }

  /** A peer has lost what it had acknowledged, and the view that it moves to was made by that. */
  peerLacks({ tenant, peer, stream, first, last }: PeerLacks): void {
    this.#say("importer-rolled-back", {
      target: `${stream} to ${peer}`,
      tenant,
      peer,
      detail: `the store of ${peer} is an older copy: it lacks what was let out of events ${first} to ${last} of ${tenant}, and ${stream}, to which its route moves, begins behind them. Replay them to ${peer}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#running;
    await this.#note().catch(() => undefined);
  }

  #sayOwn({ type, stream, first, last, at }: Setback): void {
    const name = parseStreamName(stream);
    if (name === null) return;
    const { tenant } = name;
    const told = `as was noted at ${at}`;
    if (type === "made-anew") {
      const detail = `${stream} with events up to ${last}, ${told}, is gone: it is made anew, and sequences go on behind ${last}${REMOTE.has(name.type) ? "; what its exporters know as delivered does not come by itself: have them replay it" : ""}`;
      this.#say("stream-made-anew", { target: stream, tenant, detail });
      return;
    }
    const lost = `the store is an older copy: ${stream} lacks events ${first} to ${last}, ${told}`;
    const detail = `${lost}; ${afterwards(name)}`;
    this.#say(REMOTE.has(name.type) ? "importer-rolled-back" : "exporter-rolled-back", {
      target: stream,
      tenant,
      detail,
    });
  }

  #say(name: RollbackAlarm, report: Parameters<RollbacksOptions["raise"]>[1]): void {
    const key = `${name} ${report.target}`;
    if (this.#said.get(key) === report.detail) return;
    this.#said.set(key, report.detail);
    const { raise, tell, log } = this.#options;
    raise(name, report);
    tell(name, report.target, report.detail).catch((error: unknown) => log("error", errorText(error)));
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    let failed = "";
    while (!signal.aborted) {
      const began = performance.now();
      let pauseMs = EVERY_MS;
      try {
        await this.#note();
        failed = "";
        const share = LOOK_SHARE * (performance.now() - began);
        pauseMs = Math.min(MOST_MS, Math.max(EVERY_MS, share));
      } catch (error) {
        const text = errorText(error);
        if (text !== failed) this.#options.log("warn", `Positions of streams are not noted: ${text}`);
        failed = text;
      }
      await sleep(pauseMs, signal);
    }
  }

  async #note(): Promise<void> {
    if (!this.#looked) return;
    const { mesh, folder, now, mayChange } = this.#options;
    const restarts = this.#restarts;
    const positions = await positionsNow(mesh, now());
    if (restarts !== this.#restarts) return;
    for (const [stream, last] of this.#gone) positions.streams[stream] ??= { created: MISSING, last };
    const written = JSON.stringify(positions.streams);
    if (written === this.#written) return;
    await writePositions(folder, positions, mayChange);
    this.#written = written;
    this.#noted = positions;
  }
}

/** Streams of views and mirrors come and go with policies; those of a tenant stay as long as it does. */
function isWanted({ type, stream }: Setback, { tenants }: DesiredState): boolean {
  const name = parseStreamName(stream);
  if (name === null || !tenants.some((tenant) => tenant.name === name.tenant)) return false;
  return type === "rolled-back" || name.type === "out" || name.type === "in" || name.type === "quiet";
}

function afterwards({ type }: StreamName): string {
  switch (type) {
    case "out":
    case "view":
      return "what peers have of them is named when they are asked; what no peer has is lost";
    case "in":
    case "quiet":
      return "they are fetched again from what their exporters keep";
    case "mirror":
      return "they are not fetched again: remove the import and add it again for a mirror that has what the exporter keeps";
    case "dlq":
      return "dead letters that were put aside since are lost, those that were dropped or redriven since are back";
    case "replay":
    case "replayed":
    case "replayed-quiet":
      return "a replay is as it was then";
  }
}
