/** The audit trail as the other parts use it: changes are told before they are made, denials and events as they come. */
import { AsyncLocalStorage } from "node:async_hooks";
import { type Actor, type AuditEntry, AuditRecord, type ChainHead } from "../../model/audit.ts";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import type { AuditApi, AuditNumbers, AuditQuery, Change } from "./audit_api.ts";
import { type Denial, Denials } from "./denials.ts";
import { AuditTrail, type TrailOptions } from "./trail.ts";

/** On whose behalf the code that runs now runs. */
interface Scope {
  readonly who: Actor;
  readonly from: string | null;
  /** The intent that its changes belong to; `null`: each has its own. */
  readonly intent: number | null;
  /** What must not wait: its records are written behind it, as what belongs to this one. */
  readonly behind?: Promise<number | null>;
}

const PAGE = 1000;
/** Records that are looked at after a start for intents that were cut short. */
const RECENT = 1000;

export class Audit implements AuditApi, AsyncDisposable {
  readonly #trail: AuditTrail;
  readonly #denials: Denials;
  readonly #scopes = new AsyncLocalStorage<Scope>();
  readonly #sidecar: Scope;
  readonly #log: TrailOptions["log"];
  #untold = 0;
  readonly #behind = new Set<Promise<unknown>>();

  private constructor(trail: AuditTrail, { site, log }: TrailOptions) {
    this.#trail = trail;
    this.#log = log;
    this.#sidecar = { who: { type: "sidecar", name: site }, from: null, intent: null };
    this.#denials = new Denials({ append: (entry) => trail.append(entry) });
  }

  /** Opens the trail, and says of changes that a crash has cut short that nobody knows how they ended. */
  static async open(options: TrailOptions): Promise<Audit> {
    const audit = new Audit(await AuditTrail.open(options), options);
    await audit.#closeIntents();
    return audit;
  }

  get head(): ChainHead {
    return this.#trail.head;
  }

  numbers(): AuditNumbers {
    const { total, dropped } = this.#denials;
    return {
      records: this.#trail.head.seq,
      denials: total,
      droppedDenials: dropped,
      untoldResults: this.#untold,
    };
  }

  /**
   * Tells a change, makes it, and tells how it ended. Changes of documents inside of it belong to it.
   * @throws LeafmeshError `audit_unavailable` when it cannot be told, and nothing has been changed; what `work` throws
   */
  async change<T>(
    change: Change,
    work: () => Promise<T>,
    result: (done: T) => string = () => "ok",
  ): Promise<T> {
    const { who, from } = change.by ?? this.#scopes.getStore() ?? this.#sidecar;
    const { operation, target } = change;
    const told = { who, from, operation, target };
    const fields = { asked: change.asked, before: change.before, after: change.after };
    const intent: AuditEntry = { type: "intent", ...told, ...fields };
    if (change.cuts === true) return await this.#cut(intent, { who, from }, work, result);
    const { seq } = await this.#trail.append(intent);
    try {
      const done = await this.#scopes.run({ who, from, intent: seq }, work);
      await this.#result({ type: "result", ...told, of: seq, result: result(done) });
      return done;
    } catch (error) {
      const code = error instanceof LeafmeshError ? error.code : "failed";
      await this.#result({ type: "result", ...told, of: seq, result: `${code}: ${errorText(error)}` });
      throw error;
    }
  }

  /**
   * Makes a change of a document: within a change that was told it is one more record, else it is told as one of its own.
   * @throws as {@link change}
   */
  async document<T>(
    target: string,
    { before, after }: { readonly before: unknown; readonly after: unknown },
    work: () => Promise<T>,
  ): Promise<T> {
    const scope = this.#scopes.getStore();
    const operation = after === null ? "document.remove" : "document.write";
    if (scope?.behind !== undefined) {
      const { who, from, behind } = scope;
      void this.#tellBehind({ type: "change", who, from, operation, target, before, after }, behind);
      return await work();
    }
    if (scope === undefined || scope.intent === null) {
      return await this.change({ operation, target, before, after }, work);
    }
    const { who, from, intent } = scope;
    await this.#trail.append({ type: "change", who, from, operation, target, of: intent, before, after });
    return await work();
  }

  /** Runs `work` on behalf of somebody: its changes are theirs. */
  async as<T>(who: Actor, from: string | null, work: () => Promise<T>): Promise<T> {
    return await this.#scopes.run({ who, from, intent: null }, work);
  }

  /** Tells what the site did or met by itself. @throws LeafmeshError `audit_unavailable` */
  async event(
    operation: string,
    target: string,
    more: Pick<AuditEntry, "before" | "after" | "result"> = {},
  ): Promise<void> {
    const { who, from } = this.#scopes.getStore() ?? this.#sidecar;
    await this.#trail.append({ type: "event", who, from, operation, target, ...more });
  }

  denied(denial: Denial): void {
    this.#denials.note(denial);
  }

  async list(
    query: AuditQuery,
  ): Promise<{ readonly records: readonly AuditRecord[]; readonly next: number | null }> {
    const records: AuditRecord[] = [];
    let after = await this.#start(query);
    for (;;) {
      const page = await this.#trail.read(after, PAGE);
      for (const text of page) {
        const record = AuditRecord.parse(JSON.parse(text));
        if (query.untilMs !== undefined && Date.parse(record.at) > query.untilMs)
          return { records, next: null };
        after = record.seq;
        if (!matches(record, query)) continue;
        records.push(record);
        if (records.length >= query.limit) return { records, next: after };
      }
      if (page.length === 0) return { records, next: null };
    }
  }

  async *export(query: Pick<AuditQuery, "sinceMs" | "untilMs">): AsyncGenerator<string> {
    let after = await this.#start({ after: 0, ...query });
    const { seq: end } = this.#trail.head;
    while (after < end) {
      const page = await this.#trail.read(after, PAGE);
      if (page.length === 0) return;
      for (const text of page) {
        const { seq, at } = AuditRecord.parse(JSON.parse(text));
        if (seq > end || (query.untilMs !== undefined && Date.parse(at) > query.untilMs)) return;
        after = seq;
        yield text;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#denials[Symbol.asyncDispose]();
    await Promise.all(this.#behind);
    await this.#trail[Symbol.asyncDispose]();
  }

  /** Makes a change at once, and tells it meanwhile as well as it can be told. */
  async #cut<T>(
    intent: AuditEntry,
    by: Pick<Scope, "who" | "from">,
    work: () => Promise<T>,
    result: (done: T) => string,
  ): Promise<T> {
    const { type: _type, asked: _asked, before: _before, after: _after, ...told } = intent;
    const behind = this.#tellBehind(intent);
    const end = (text: string) => void this.#tellBehind({ type: "result", ...told, result: text }, behind);
    try {
      const done = await this.#scopes.run({ ...by, intent: null, behind }, work);
      end(result(done));
      return done;
    } catch (error) {
      end(`${error instanceof LeafmeshError ? error.code : "failed"}: ${errorText(error)}`);
      throw error;
    }
  }

  /** Adds a record, behind the intent that it belongs to. @returns its number; `null` where it cannot be told */
  #tellBehind(entry: AuditEntry, intent?: Promise<number | null>): Promise<number | null> {
    const written = (async () => {
      const of = (await intent) ?? null;
      return (await this.#trail.append(of === null ? entry : { ...entry, of })).seq;
    })().catch((error: unknown) => {
      this.#notTold(entry, error);
      return null;
    });
    this.#behind.add(written);
    void written.finally(() => this.#behind.delete(written));
    return written;
  }

  #notTold({ type, operation, target, of }: AuditEntry, error: unknown): void {
    this.#untold++;
    const place = of === undefined ? "" : ` (record ${of})`;
    this.#log("error", `The ${type} of ${operation} ${target}${place} is not told: ${errorText(error)}`);
  }

  async #start({ after, sinceMs }: { readonly after: number; readonly sinceMs?: number }): Promise<number> {
    return sinceMs === undefined ? after : Math.max(after, await this.#trail.before(new Date(sinceMs)));
  }

  /** The change is made: that its end cannot be told is logged and counted, and the next start says it. */
  async #result(entry: AuditEntry): Promise<void> {
    try {
      await this.#trail.append(entry);
    } catch (error) {
      this.#notTold(entry, error);
    }
  }

  async #closeIntents(): Promise<void> {
    const open = new Map<number, AuditRecord>();
    for (const text of await this.#trail.read(Math.max(0, this.#trail.head.seq - RECENT), RECENT)) {
      const record = AuditRecord.parse(JSON.parse(text));
      if (record.type === "intent") open.set(record.seq, record);
      else if (record.type === "result" && record.of !== undefined) open.delete(record.of);
    }
    for (const { seq, who, from, operation, target } of open.values()) {
      const result = "interrupted: the sidecar ended before it knew how this ended";
      await this.#trail.append({
        type: "result",
        who: who as Actor | null,
        from,
        operation,
        target,
        of: seq,
        result,
      });
    }
  }
}

function matches(record: AuditRecord, query: AuditQuery): boolean {
  const { who, target, type } = query;
  return (
    (type === undefined || record.type === type) &&
    (who === undefined || record.who?.name === who) &&
    (target === undefined || record.target.includes(target))
  );
}
