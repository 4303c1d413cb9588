/** The alarms that are raised now: who may raise them, how they are listed, and the two lines that the log has of each. */
import { ALARMS, type Alarm, type AlarmName, type AlarmPort, type AlarmReport } from "../../model/alarms.ts";

/** More than these are not kept: what is behind them shows when others are seen to. */
const MAX_RAISED = 4096;

export interface AlarmsOptions {
  readonly now: () => Date;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class Alarms implements AlarmPort {
  readonly #options: AlarmsOptions;
  readonly #raised = new Map<string, Alarm>();
  #full = false;

  constructor(options: AlarmsOptions) {
    this.#options = options;
  }

  /** All that are raised: the critical first, then by name and target. */
  list(): readonly Alarm[] {
    const order = (alarm: Alarm) => `${alarm.severity} ${alarm.name} ${alarm.target}`;
    return [...this.#raised.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
  }

  raise(name: AlarmName, { target, tenant, peer, detail }: AlarmReport): void {
    const key = keyOf(name, target);
    const before = this.#raised.get(key);
    const { severity, means, todo } = ALARMS[name];
    if (before === undefined && this.#raised.size >= MAX_RAISED) {
      if (!this.#full) this.#options.log("error", `more than ${MAX_RAISED} alarms: others are not kept`);
      this.#full = true;
      return;
    }
    const since = before?.since ?? this.#options.now().toISOString();
    this.#raised.set(key, {
      name,
      severity,
      target,
      tenant: tenant ?? null,
      peer: peer ?? null,
      detail,
      means,
      todo,
      since,
    });
    if (before !== undefined && (!HAPPENINGS.has(name) || before.detail === detail)) return;
    const level = severity === "critical" ? "error" : "warn";
    this.#options.log(level, `${name} raised for ${target}: ${detail}. What to do: ${todo}`);
  }

  clear(name: AlarmName, target: string): void {
    if (!this.#raised.delete(keyOf(name, target))) return;
    this.#full = false;
    this.#options.log("info", `${name} cleared for ${target}`);
  }

  /** What was observed is all that there is of these names: raises them, and clears the others of these names. */
  observed(
    names: readonly AlarmName[],
    found: readonly (AlarmReport & { readonly name: AlarmName })[],
  ): void {
    const holds = new Set(found.map(({ name, target }) => keyOf(name, target)));
    for (const { name, target } of [...this.#raised.values()]) {
      if (names.includes(name) && !holds.has(keyOf(name, target))) this.clear(name, target);
    }
    for (const { name, ...report } of found) this.raise(name, report);
  }
}

/** What is raised once for each time that it happens: each is written down, also where the one before still stands. */
const HAPPENINGS: ReadonlySet<AlarmName> = new Set([
  "exporter-rolled-back",
  "importer-rolled-back",
  "stream-made-anew",
]);

const keyOf = (name: AlarmName, target: string): string => `${name} ${target}`;
