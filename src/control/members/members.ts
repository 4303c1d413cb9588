/**
 * The sidecars of one site: who lives, and which one leads. Each keeps a heartbeat in the members' bucket; the one that leads keeps a
 * lease there, which another one takes when it has stood still for too long. Times are measured by each process's own clock alone:
 * who holds something stops before anybody else may take it, see {@link MEMBER_TIMES}.
 */
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { memberKey } from "../../model/names.ts";
import { type Heartbeat, type Lease, MEMBER_TIMES, MEMBERS_PROTOCOL, type ProcessMark } from "./heartbeat.ts";
import { joinable, otherKeys } from "./joining.ts";
import { MemberTable, type Stored } from "./member_table.ts";
import type { Member, MembersChange, MembersOptions } from "./options.ts";
import { OtherMembers } from "./other_members.ts";
import { Sightings } from "./sightings.ts";

const PERSISTENT_MS = 5_000;

export class Members implements AsyncDisposable {
  readonly name: string;
  readonly #options: MembersOptions;
  readonly #now: () => number;
  readonly #instance = crypto.randomUUID();
  readonly #table: MemberTable;
  readonly #sightings: Sightings;
  readonly #openedAt: number;
  readonly #others: OtherMembers;
  readonly #listeners = new Set<(change: MembersChange) => void>();
  #keys = "";
  #ownRevision = 0;
  #lease: Stored<Lease> | null = null;
  /** The epoch that this member leads in; `null`: it does not. */
  #term: number | null = null;
  /** Until when this member may take for granted that nobody else has its lease, or its views. */
  #leadsUntil = 0;
  #livesUntil = 0;
  /** The highest epoch that was ever seen: a bucket that is lost takes its own along. */
  #newest = 0;
  /** Of the lease that was given back, when this member began to lead without an answer of the bucket. */
  #freeSince: number | null = null;
  /** Whether anybody has led since this member came. */
  #led = false;
  #alone = false;
  #tick: Promise<void> | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #ended = false;
  #eager = false;
  /** Since when there has been no lease. */
  #emptySince: number | null = null;
  #said = "";
  #saidOfKeys = "";
  #ranBefore: ReadonlyMap<string, string> = new Map();
  #takenFrom: string | null = null;
  #failingSince: number | null = null;
  /** When the look under way began. */
  #lookAt = 0;

  private constructor(options: MembersOptions, table: MemberTable) {
    this.#options = options;
    this.name = options.name;
    this.#table = table;
    this.#now = options.now ?? (() => performance.now());
    this.#sightings = new Sightings(this.#now);
    const isGone = (mark: ProcessMark) => this.#isGone(mark);
    this.#others = new OtherMembers({ table, self: options.name, isGone, now: this.#now });
    this.#openedAt = this.#now();
  }

  /**
   * Joins the members of the site.
   * @throws LeafmeshError `conflict` when another sidecar has this name, other keys or another protocol
   */
  static async open(options: MembersOptions): Promise<Members> {
    const table = await MemberTable.open(options.nc, options.replicas ?? (() => 1));
    const members = new Members(options, table);
    members.#keys = await options.keys();
    const { name, process, isRunning } = options;
    const shared = options.alone !== undefined;
    const joining = { table, name, keys: shared ? null : members.#keys, process, isRunning };
    members.#ownRevision = await joinable(joining, options.alone);
    members.#schedule(0);
    return members;
  }

  /** Whether this member leads now, for certain. */
  get isLeader(): boolean {
    return this.#term !== null && this.#now() < this.#leadsUntil;
  }

  /** Whether it led when it last knew; where that is doubtful, {@link confirm} tells. */
  get hasLease(): boolean {
    return this.#term !== null;
  }

  /** Number of the leadership that is known here; it grows with each leader. */
  get epoch(): number {
    return this.#term ?? this.#lease?.value.epoch ?? 0;
  }

  /** Who leads, as it was last seen; `null`: nobody does. */
  get leader(): string | null {
    if (this.#term !== null) return this.name;
    const holder = this.#lease?.value.holder ?? null;
    if (holder === null || holder.instance === this.#instance) return null;
    return this.#leaseIsStale() ? null : holder.name;
  }

  /** Milliseconds for which nobody else may have what this member runs; 0: it must not write. */
  get remainingMs(): number {
    const until = this.#term === null ? this.#livesUntil : Math.min(this.#livesUntil, this.#leadsUntil);
    return Math.max(0, until - this.#now());
  }

  /** The views that the one who led before this member has run, with the version of the policy of each, as it said last. */
  get ranBefore(): ReadonlyMap<string, string> {
    return this.#ranBefore;
  }

  /** The process that had the lease when this member took it; `null`: it was given back. */
  get takenFrom(): string | null {
    return this.#takenFrom;
  }

  /** Tells this process from all others that have had its name. */
  get instance(): string {
    return this.#instance;
  }

  /** Whether no other member can be there. */
  get isAlone(): boolean {
    return this.#alone;
  }

  /** The others as they are in the bucket now. @throws when it cannot be read */
  async lookAround(): Promise<readonly Member[]> {
    await this.#others.look(true);
    return this.list().filter(({ self }) => !self);
  }

  /** All members, also those that are away. */
  list(): readonly Member[] {
    const leader = this.leader;
    const others = this.#others.all.map((one) => this.#member(one, leader));
    return [this.#member(this.#heartbeat(), leader), ...others].sort((left, right) =>
      left.name < right.name ? -1 : 1,
    );
  }

  /** Members that live. */
  live(): readonly Member[] {
    return this.list().filter(({ alive }) => alive);
  }

  /** Hears of changes. @returns ends it */
  onChange(listener: (change: MembersChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether it may go on as the leader of an epoch, looked up where it is in doubt. */
  async confirm(epoch: number): Promise<boolean> {
    if (this.#term !== epoch) return false;
    const until = this.#now() + PERSISTENT_MS;
    while (this.#term === epoch && !this.isLeader && !this.#ended && this.#now() < until) {
      await this.#look();
    }
    return this.#term === epoch && this.isLeader;
  }

  /** From now on this member may lead. */
  stand(): void {
    this.#eager = true;
    this.#schedule(0);
  }

  /** Gives the lease back: another member leads at once. */
  async resign(): Promise<void> {
    this.#eager = false;
    await this.#tick?.catch(() => undefined);
    if (this.#term === null) return;
    const epoch = this.#term;
    this.#lost();
    await this.#writeLease({ holder: null, epoch }).catch(() => undefined);
  }

  /** Forgets a member that is away. @throws LeafmeshError `not_found`, `conflict` while it lives */
  async forget(name: string): Promise<void> {
    const member = this.list().find((one) => one.name === name);
    if (member === undefined) throw new LeafmeshError("not_found", `There is no member ${name}`);
    if (member.alive) throw new LeafmeshError("conflict", `Member ${name} lives: stop it first`);
    await this.#table.remove(name);
    this.#others.drop(name);
    this.#tell("members");
  }

  /** Leaves: the others know at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.resign();
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#tick?.catch(() => undefined);
    if (!this.#options.nc.isClosed()) await this.#table.remove(this.name).catch(() => undefined);
  }

  #schedule(ms: number): void {
    if (this.#ended) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), ms);
  }

  /** One look at the bucket, and no two at a time. */
  #look(): Promise<void> {
    this.#tick ??= this.#lookOnce().finally(() => {
      this.#tick = null;
      this.#schedule(this.#isCalm() ? MEMBER_TIMES.aloneTickMs : MEMBER_TIMES.tickMs);
    });
    return this.#tick;
  }

  /** Whether nobody waits for its next look, and it has time for that: a server that is slow may need most of {@link MEMBER_TIMES.aloneMs}. */
  #isCalm(): boolean {
    const quick = this.#now() - this.#lookAt <= MEMBER_TIMES.slowMs;
    return this.#alone && this.#term !== null && this.#failingSince === null && quick;
  }

  async #lookOnce(): Promise<void> {
    const before = JSON.stringify(this.#summary());
    this.#lookAt = this.#now();
    try {
      await this.#lookAlone();
      await this.#beat();
      await this.#lookAtLease();
      await this.#lookAtOthers();
      this.#failingSince = null;
      this.#said = "";
    } catch (error) {
      this.#failingSince ??= this.#now();
      const said = errorText(error);
      if (said !== this.#said && this.#now() - this.#failingSince > PERSISTENT_MS && !this.#ended) {
        this.#said = said;
        this.#options.log("warn", `the members' bucket cannot be used: ${said}`);
      }
      if (this.#alone && this.#eager) this.#leadAlone();
      // A server that answers nothing is not asked in a loop.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (JSON.stringify(this.#summary()) !== before) this.#tell("members");
  }

  async #lookAlone(): Promise<void> {
    const { alone } = this.#options;
    if (alone === undefined) return;
    const at = this.#now();
    this.#alone = await alone().catch(() => false);
    if (!this.#alone) return;
    this.#livesUntil = at + MEMBER_TIMES.aloneMs;
    if (this.#term !== null) this.#leadsUntil = at + MEMBER_TIMES.aloneMs;
  }

  /** A member that is alone leads though the server has no bucket: it may be the one to repair it. */
  #leadAlone(): void {
    if (this.#term !== null) return;
    const seen = this.#lease;
    this.#freeSince = seen?.value.holder === null ? seen.revision : null;
    this.#won(this.#newest + 1);
    this.#leadsUntil = this.#livesUntil;
  }

  async #beat(): Promise<void> {
    const at = this.#now();
    const revision = await this.#table.put(memberKey.member(this.name), this.#heartbeat(), this.#ownRevision);
    if (revision === null) {
      const there = await this.#table.heartbeat(this.name);
      if (there !== null && there.value.instance !== this.#instance && there.revision > this.#ownRevision) {
        this.#sightings.see(this.name, there.revision);
        if (this.#sightings.moves(this.name) > 1) {
          throw new LeafmeshError("conflict", `another sidecar has the member name ${this.name}, too`);
        }
      }
      this.#ownRevision = there?.revision ?? 0;
      return await this.#beat();
    }
    this.#ownRevision = revision;
    this.#livesUntil = this.#alone ? at + MEMBER_TIMES.aloneMs : at + MEMBER_TIMES.holdMs;
  }

  async #lookAtLease(): Promise<void> {
    const at = this.#now();
    // Once in doubt it is read first: the revisions of a bucket that was made anew may be those of the old one.
    if (this.#term !== null && this.isLeader && this.#lease?.value.holder?.instance === this.#instance) {
      if (await this.#writeLease({ holder: this.#holder(), epoch: this.#term })) {
        this.#leadsUntil = at + (this.#alone ? MEMBER_TIMES.aloneMs : MEMBER_TIMES.holdMs);
        return;
      }
    }
    const found = await this.#table.lease();
    this.#lease = found;
    if (found !== null) {
      this.#sightings.see(memberKey.leader, found.revision);
      this.#newest = Math.max(this.#newest, found.value.epoch);
    }
    // A server that does not answer this member in time does not let the one that leads renew its lease, either.
    if (this.#failingSince !== null || this.#now() - this.#lookAt > MEMBER_TIMES.slowMs) {
      this.#sightings.pardon(memberKey.leader);
    }
    if (this.#term !== null) {
      const holder = found?.value.holder ?? null;
      // The bucket is new, or this member began to lead without it. A lease that was given back since was another one's.
      const free = found === null || (holder === null && found.revision === this.#freeSince);
      if (holder?.instance !== this.#instance && !free) this.#lost();
      else if (await this.#writeLease({ holder: this.#holder(), epoch: this.#term })) {
        this.#leadsUntil = at + (this.#alone ? MEMBER_TIMES.aloneMs : MEMBER_TIMES.holdMs);
        return;
      }
    }
    if (this.#term === null && this.#eager && (await this.#mayTake(found))) await this.#take(found);
  }

  async #mayTake(found: Stored<Lease> | null): Promise<boolean> {
    if (found === null) {
      // A server that was started anew has lost it: the one that led writes it again.
      this.#emptySince ??= this.#now();
      const emptyMs = this.#now() - this.#emptySince;
      const here = this.#now() - this.#openedAt >= MEMBER_TIMES.newcomerMs;
      if (this.#options.fresh === true && this.#lease === null && !this.#led) return true;
      return this.#alone || (emptyMs >= MEMBER_TIMES.takeMs && here);
    }
    this.#emptySince = null;
    this.#led = true;
    const { holder } = found.value;
    if (holder === null || this.#alone || holder.instance === this.#instance) return true;
    if (await this.#isGone(holder.process)) return true;
    return this.#leaseIsStale();
  }

  #leaseIsStale(): boolean {
    const stillMs = this.#sightings.stillMs(memberKey.leader) ?? 0;
    // Whoever leads has seen this member when its lease moves for the second time: until then it may think that it is alone.
    const known = this.#sightings.moves(memberKey.leader) > 1;
    return stillMs >= (known ? MEMBER_TIMES.takeMs : MEMBER_TIMES.newcomerMs);
  }

  async #take(found: Stored<Lease> | null): Promise<void> {
    if (found !== null && found.value.keys !== this.#keys) {
      this.#keys = await this.#options.keys();
      // A lease may be of before the keys were rotated. Members of one data folder have those that stand there, and so has one member.
      const own = this.#options.alone !== undefined || found.value.holder?.name === this.name;
      if (!own && found.value.keys !== this.#keys) {
        const { message } = otherKeys(found.value.holder?.name ?? "that led");
        if (message !== this.#saidOfKeys) this.#options.log("error", message);
        this.#saidOfKeys = message;
        return;
      }
    }
    const at = this.#now();
    const epoch = this.#newest + 1;
    if (!(await this.#writeLease({ holder: this.#holder(), epoch }))) return;
    this.#leadsUntil = at + (this.#alone ? MEMBER_TIMES.aloneMs : MEMBER_TIMES.holdMs);
    const before = found?.value.holder ?? null;
    const said = before === null ? null : await this.#table.heartbeat(before.name).catch(() => null);
    const views = said !== null && said.value.instance === before?.instance ? said.value.views : {};
    this.#ranBefore = new Map(Object.entries(views));
    this.#takenFrom = before?.instance ?? null;
    this.#won(epoch);
  }

  /** @returns whether the bucket took it; if not, another one was faster */
  async #writeLease(fields: Pick<Lease, "holder" | "epoch">): Promise<boolean> {
    const value = { ...fields, keys: this.#keys, protocol: MEMBERS_PROTOCOL };
    const revision = await this.#table.put(memberKey.leader, value, this.#lease?.revision ?? 0);
    if (revision === null) {
      this.#lease = null;
      return false;
    }
    this.#lease = { revision, value };
    this.#sightings.see(memberKey.leader, revision);
    return true;
  }

  async #lookAtOthers(): Promise<void> {
    const all = await this.#others.look();
    // Of members of one data folder nobody asks for them.
    if (all && this.#term !== null && this.#options.alone === undefined)
      this.#keys = await this.#options.keys();
  }

  /** Whether a process of this machine has ended. */
  async #isGone(mark: ProcessMark): Promise<boolean> {
    return mark.host === this.#options.process.host && !(await this.#options.isRunning(mark));
  }

  #won(epoch: number): void {
    this.#term = epoch;
    this.#newest = epoch;
    this.#led = true;
    this.#options.log("info", `member ${this.name} leads (epoch ${epoch})`);
    this.#tell("leader");
  }

  #lost(): void {
    const epoch = this.#term;
    this.#term = null;
    this.#leadsUntil = 0;
    this.#options.log("info", `member ${this.name} leads no more (epoch ${epoch})`);
    this.#tell("leader");
  }

  #tell(change: MembersChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #holder(): NonNullable<Lease["holder"]> {
    return { name: this.name, instance: this.#instance, process: this.#options.process };
  }

  #heartbeat(): Heartbeat {
    const { version, api, process, views } = this.#options;
    return {
      name: this.name,
      instance: this.#instance,
      protocol: MEMBERS_PROTOCOL,
      version,
      keys: this.#keys,
      process,
      api: api(),
      views: Object.fromEntries(views()),
      sharesViews: true,
    };
  }

  #member(one: Heartbeat, leader: string | null): Member {
    const { name, instance, version, api, views, sharesViews } = one;
    const self = name === this.name;
    const alive = self || this.#others.isAlive(name);
    const gone = !self && this.#others.isGone(name);
    return { name, instance, alive, gone, leads: name === leader, self, version, api, views, sharesViews };
  }

  #summary() {
    const all = this.list().map(({ name, instance, alive, gone }) => ({ name, instance, alive, gone }));
    return [this.leader, all];
  }
}
