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
    const { seq } = await this.#trail.append({ type: "intent", ...told, ...fields });
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
    await this.#trail[Symbol.asyncDispose]();
  }

  async #start({ after, sinceMs }: { readonly after: number; readonly sinceMs?: number }): Promise<number> {
    return sinceMs === undefined ? after : Math.max(after, await this.#trail.before(new Date(sinceMs)));
  }

  /** The change is made: that its end cannot be told is logged and counted, and the next start says it. */
  async #result(entry: AuditEntry): Promise<void> {
    try {
      await this.#trail.append(entry);
    } catch (error) {
      this.#untold++;
      this.#log(
        "error",
        `The end of ${entry.operation} ${entry.target} (record ${entry.of}): ${errorText(error)}`,
      );
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
