/**
 * The other members, as the one that leads hears of them: they ask again and again whether they may go on. One that is silent, gone, or
 * of which nobody knows what it has done, is granted nothing any more; when what it was granted has run out, others have its views.
 */
import { MEMBER_TIMES } from "../../control/members/heartbeat.ts";
import type { MemberHandler, MemberRpc } from "../../control/members/member_rpc.ts";
import type { Members } from "../../control/members/members.ts";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { sleep } from "../../nats/wait.ts";
import { Follower, NotKnown } from "./follower.ts";
import { type Answer, ASK_VERB, decode, encode, isSame, Report } from "./messages.ts";
import { Setbacks } from "./setbacks.ts";

/** How often they are looked at, while there are any. */
const LOOK_MS = 100;
const DOUBT_MS = 50;
/** A member whose reports lack what it runs says so twice: one report may have been on its way. */
const MISSED = 2;

export interface FollowersOptions {
  readonly members: Members;
  readonly rpc: MemberRpc;
  /** Whether a member has said that it runs this view, which is placed there. */
  readonly runsAt: (follower: Follower, key: string) => boolean;
  /** A member that lives does not run a view that it was told to. */
  readonly onMissing: (follower: Follower, key: string) => void;
  /** For certain nothing of a member runs any more. */
  readonly onOut: (follower: Follower) => void;
  /** Each time that they were looked at. */
  readonly onLook: () => void;
  readonly log: (level: "info" | "warn", message: string) => void;
}

export class Followers implements Disposable {
  readonly #options: FollowersOptions;
  /** By the instance of their process. */
  readonly #all = new Map<string, Follower>();
  readonly #stopHandling: () => void;
  #epoch: number | null = null;
  /** Whether they are granted anything: it is known what they ran when this leadership began. */
  #open = false;
  /** Members that may run anything for as long as the one that led has granted them. */
  readonly #doubted = new Set<string>();
  #doubtUntil = 0;
  readonly #setbacks = new Setbacks();
  #timer: ReturnType<typeof setInterval> | null = null;
  #lookedAt = 0;

  constructor(options: FollowersOptions) {
    this.#options = options;
    this.#stopHandling = options.rpc.handle(ASK_VERB, this.#asked);
  }

  get all(): readonly Follower[] {
    return [...this.#all.values()];
  }

  /** Begins a leadership: asks what they run. */
  async begin(epoch: number): Promise<void> {
    this.end();
    this.#epoch = epoch;
    const { members, log } = this.#options;
    if (members.isAlone) return;
    this.#doubtUntil = performance.now() + MEMBER_TIMES.takeMs;
    const others = await members.lookAround().catch((error: unknown) => {
      log(
        "warn",
        `the members cannot be looked up, and views wait until it is certain that nobody runs them: ${errorText(error)}`,
      );
      this.#doubted.add("");
      return [];
    });
    // Who led before this one has no more than its lease, which is over.
    const asked = others.filter((one) => one.alive && one.sharesViews && one.instance !== members.takenFrom);
    await Promise.all(asked.map(({ name, instance }) => this.#enter(epoch, name, instance)));
    if (this.#doubted.size > 0) this.#watch();
  }

  /** From now on they are granted time. */
  open(): void {
    this.#open = true;
  }

  /** Ends a leadership: nothing more is known of anybody. */
  end(): void {
    this.#epoch = null;
    this.#open = false;
    this.#doubted.clear();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    const all = [...this.#all.values()];
    this.#all.clear();
    // Who waits for one of them goes on, and finds that it leads no more.
    for (const one of all) one.gone();
  }

  /** Waits until no member that has not been heard may run what the one before has granted it. */
  async undoubted(): Promise<void> {
    while (this.#doubted.size > 0 && performance.now() < this.#doubtUntil) await sleep(DOUBT_MS);
  }

  /** Looks at all of them. */
  look(): void {
    if (this.#timer === null) return;
    const { members, log, onOut, onLook } = this.#options;
    const now = performance.now();
    const late = now - this.#lookedAt > MEMBER_TIMES.slowMs || !members.isLeader;
    this.#lookedAt = now;
    const list = members.list();
    for (const name of this.#doubted) {
      if (name !== "" && list.find((one) => one.name === name)?.gone !== false) this.#doubted.delete(name);
    }
    for (const one of [...this.#all.values()]) {
      if (late) one.pardon();
      const gone = list.some(({ instance, gone }) => instance === one.instance && gone);
      if (!one.isCut && (gone || one.silent)) {
        if (one.placings.size > 0)
          log("warn", `member ${one.name} ${gone ? "is gone" : "is silent"}: others have its views`);
        one.cut();
      }
      if (gone) one.gone();
      one.look();
      if (!one.isOut) continue;
      this.#all.delete(one.instance);
      if (!gone && !one.leaving) this.#setbacks.add(one.name);
      onOut(one);
    }
    onLook();
    if (this.#all.size > 0 || this.#doubted.size > 0) return;
    clearInterval(this.#timer ?? undefined);
    this.#timer = null;
  }

  [Symbol.dispose](): void {
    this.#stopHandling();
    this.end();
  }

  async #enter(epoch: number, name: string, instance: string): Promise<void> {
    const { rpc, log } = this.#options;
    const follower = new Follower(name, instance, rpc, 0);
    try {
      const report = Report.parse(await follower.order({ type: "enter", epoch }));
      if (report.instance !== instance) throw new NotKnown("it is another process now");
      if (this.#epoch !== epoch) return;
      follower.heard(report);
      for (const one of report.held) follower.placings.set(one.target.key, one.placing);
      this.#add(follower);
    } catch (error) {
      this.#doubted.add(name);
      log("info", `member ${name} has not said what it runs: ${errorText(error)}`);
    }
  }

  #add(follower: Follower): void {
    // Another process of that name has come: nothing is asked of the one before any more.
    for (const one of this.#all.values()) if (one.name === follower.name) one.cut();
    this.#all.set(follower.instance, follower);
    this.#watch();
  }

  #watch(): void {
    if (this.#timer !== null) return;
    this.#lookedAt = performance.now();
    this.#timer = setInterval(() => this.look(), LOOK_MS);
  }

  readonly #asked: MemberHandler = async ({ from, body }) =>
    encode(this.#answer(from, Report.parse(decode(body))));

  /** Nothing in here waits: what is granted is counted from when it was asked for, before it is known here. */
  #answer(from: string, report: Report): Answer {
    const { members, rpc, log } = this.#options;
    const leads = this.#open && members.isLeader && members.epoch === this.#epoch;
    if (!leads || report.epoch !== this.#epoch) {
      throw new LeafmeshError("no_leader", `Member ${members.name} does not lead in epoch ${report.epoch}`);
    }
    this.#doubted.delete(from);
    const known = this.#all.get(report.instance);
    const one = known ?? new Follower(from, report.instance, rpc, this.#setbacks.newMs(from));
    if (known === undefined) this.#add(one);
    one.heard(report);
    if (one.isCut) return { type: "drop" };
    if (!report.held.every(({ target, placing }) => isSame(one.placings.get(target.key), placing))) {
      log("info", `member ${from} runs views that it was not given: it drops all`);
      one.cut();
      return { type: "drop" };
    }
    this.#lookForMissing(one);
    one.granted();
    return { type: "granted" };
  }

  #lookForMissing(one: Follower): void {
    const { runsAt, onMissing } = this.#options;
    const held = new Set(one.held.map(({ target }) => target.key));
    for (const key of [...one.placings.keys()]) {
      if (held.has(key) || !runsAt(one, key)) {
        one.missed.delete(key);
        continue;
      }
      const missed = (one.missed.get(key) ?? 0) + 1;
      one.missed.set(key, missed);
      if (!one.leaving && missed < MISSED) continue;
      one.placings.delete(key);
      one.missed.delete(key);
      onMissing(one, key);
    }
  }
}
