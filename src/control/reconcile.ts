/** Repeats plan and apply until nothing differs: after every change, and every few seconds against drift. */
import type { DesiredState } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { sleep } from "../nats/wait.ts";
import type { Peers } from "./agreement.ts";
import type { ApplyReport, PlanReport, StateStore, StepReport } from "./api.ts";
import { type ApplyContext, applyStep } from "./apply.ts";
import type { Observed } from "./observe.ts";
import { type Plan, type PlanInput, planSteps } from "./plan.ts";
import type { ExportPlan } from "./routes.ts";
import { describeStep, type Step } from "./step.ts";
import { independent, narrows, opens } from "./step_order.ts";
import { together } from "./together.ts";
import { Waiting } from "./waiting.ts";

/** Looked at again at this pace when nothing happens. */
const EVERY_MS = 2000;
/** While a step waits for a peer: soon at first, then at the pace of the rest. A peer that has news asks for a pass itself. */
const WAIT_MS = 250;
/** Rounds of plan and apply in one pass; a pass that needs more is broken off and said. */
const MAX_ROUNDS = 12;
const INTERRUPTED = "something else comes first";

/** A pass that was broken off before it knew what to do. */
class Interrupted extends Error {
  override readonly name = "Interrupted";
}

export interface ReconcilerOptions {
  readonly state: StateStore;
  readonly context: ApplyContext;
  readonly observe: (desired: DesiredState) => Promise<Observed>;
  readonly peers: () => Peers;
  readonly configChanges: () => readonly string[];
  readonly strangers: () => Promise<PlanInput["strangers"]>;
  /** Peers that the server has stopped to dial. Default: none. */
  readonly undialled?: () => PlanInput["undialled"];
  readonly isOlderCopy?: PlanInput["isOlderCopy"];
  readonly silent: (observed: Observed) => PlanInput["silent"];
  readonly stuck: (observed: Observed) => PlanInput["stuck"];
  /** Streams and consumers whose leader is to be another one; default: none. */
  readonly misplaced?: (observed: Observed) => NonNullable<PlanInput["misplaced"]>;
  readonly versionOf: (plan: ExportPlan) => string;
  /** Replays that have not ended; `undefined`: not known yet. */
  readonly replays?: () => PlanInput["replays"];
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  /** After each step that was made. */
  readonly applied?: (step: StepReport) => void;
  /** After each plan: what may be offered to peers has perhaps changed. */
  readonly onPlan?: (planned: Planned) => void;
}

/** The plan with what it was made from. */
export interface Planned {
  readonly plan: Plan;
  readonly observed: Observed;
  readonly revision: number;
}

/** A plan as the API shows it. */
export function reportPlan({ plan, revision }: Planned): PlanReport {
  return {
    revision,
    steps: plan.steps.map(describeStep),
    routes: plan.exports.map(({ tenant, policy, route }) => ({
      tenant: tenant.name,
      policy: policy.name,
      kind: route.type,
      why: route.type === "view" ? route.why : [],
    })),
    notes: plan.notes,
  };
}

/** Makes one pass after another, of what has changed and against drift. */
export class Reconciler implements AsyncDisposable {
  readonly #options: ReconcilerOptions;
  #queue: Promise<unknown> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #pending = false;
  #ended = false;
  /** Aborted when somebody waits for the pass under way to end. */
  #interrupt = new AbortController();
  #waitingToWork = 0;
  #last: Planned | null = null;
  #converged = false;
  /** Passes in a row that ended waiting for a peer. */
  #waits = 0;
  #failures: readonly string[] = [];
  /** What was said last of a failure, so that a lasting one is logged once. */
  #said = "";

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** The last plan, for reports. */
  get last(): Planned | null {
    return this.#last;
  }

  /** Whether the last pass left nothing to do. */
  get converged(): boolean {
    return this.#converged;
  }

  /** What failed in the last pass; steps that wait for a peer are no failures. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  /** Asks for a pass soon; several requests make one pass. */
  trigger(): void {
    if (this.#ended || this.#pending) return;
    this.#pending = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    void this.apply().catch((error: unknown) => this.#options.log("error", errorText(error)));
  }

  /** Makes a plan now and changes nothing. What only a pass does, again and later each time, is not in it. */
  async plan(): Promise<Planned> {
    return await this.#again(() => this.#serial(() => this.#plan(false)));
  }

  /** Plans and applies until nothing differs, a step fails, or a peer must be waited for. */
  async apply(): Promise<ApplyReport> {
    return await this.#again(() => this.#serial(() => this.#apply()));
  }

  /**
   * Does something else between two passes: what a pass has planned must not be done after it. A pass under way ends after its
   * step, and does not wait for a server that may be the reason for the work.
   */
  async between<T>(work: () => Promise<T>): Promise<T> {
    const interrupt = this.#interrupt;
    this.#interrupt = new AbortController();
    this.#waitingToWork++;
    interrupt.abort();
    return await this.#serial(async () => {
      this.#waitingToWork--;
      return await work();
    });
  }

  /**
   * The same for somebody who waits: not at all, when it cannot begin in time.
   * @throws {LeafmeshError} `timeout`
   */
  async betweenWithin<T>(withinMs: number, work: () => Promise<T>): Promise<T> {
    const turn = { began: false, late: false };
    const late = () => new LeafmeshError("timeout", "it is busy: ask again");
    const done = this.#serial(async () => {
      if (turn.late) throw late();
      turn.began = true;
      return await work();
    });
    await Promise.race([done.catch(() => undefined), sleep(withinMs)]);
    turn.late = !turn.began;
    if (!turn.late) return await done;
    done.catch(() => undefined);
    throw late();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#queue.catch(() => undefined);
  }

  async #apply(): Promise<ApplyReport> {
    this.#pending = false;
    try {
      const report = await this.#pass();
      this.#schedule(report.failed.some((one) => one.waiting));
      return report;
    } catch (error) {
      if (error instanceof Interrupted) throw error;
      // What could not be looked at is looked at again.
      this.#converged = false;
      this.#failures = [`the state cannot be applied: ${errorText(error)}`];
      this.#schedule(false);
      throw error;
    }
  }

  /** What was interrupted comes after what interrupted it. */
  async #again<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error;
      }
    }
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work, work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  #schedule(waiting: boolean): void {
    if (this.#ended) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#waits = waiting ? this.#waits + 1 : 0;
    const pauseMs = waiting ? Math.min(WAIT_MS * Math.ceil(this.#waits / 8), EVERY_MS) : EVERY_MS;
    this.#timer = setTimeout(() => this.trigger(), pauseMs);
  }

  /** @param attempts whether what stands still is to be set going: each look for it counts as an attempt */
  async #plan(attempts = true): Promise<Planned> {
    const { state, revision } = this.#options.state.desired();
    const observed = await this.#unlessInterrupted(this.#options.observe(state));
    const plan = planSteps({
      desired: state,
      peers: this.#options.peers(),
      observed,
      configChanges: this.#options.configChanges(),
      strangers: await this.#options.strangers(),
      undialled: attempts ? (this.#options.undialled?.() ?? []) : [],
      silent: attempts ? this.#options.silent(observed) : [],
      stuck: attempts ? this.#options.stuck(observed) : [],
      misplaced: attempts ? (this.#options.misplaced?.(observed) ?? []) : [],
      views: this.#options.context.views.running(),
      versionOf: this.#options.versionOf,
      replays: this.#options.replays?.(),
      isOlderCopy: this.#options.isOlderCopy,
      changedAt: (one) =>
        this.#options.state.get({ type: "export", tenant: one.tenant.name, name: one.policy.name })
          ?.changedAt ?? new Date(0).toISOString(),
    });
    this.#last = { plan, observed, revision };
    this.#options.onPlan?.(this.#last);
    return this.#last;
  }

  /** Looking changes nothing: it need not be waited for. @throws {Interrupted} */
  async #unlessInterrupted<T>(looking: Promise<T>): Promise<T> {
    const { signal } = this.#interrupt;
    let stop = () => {};
    const interrupted = new Promise<never>((_, reject) => {
      stop = () => reject(new Interrupted(INTERRUPTED));
      if (this.#waitingToWork > 0) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
    looking.catch(() => undefined);
    return await Promise.race([looking, interrupted]).finally(() =>
      signal.removeEventListener("abort", stop),
    );
  }

  async #pass(): Promise<ApplyReport> {
    const applied: StepReport[] = [];
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { plan, revision } = await this.#plan();
      if (plan.steps.length === 0) return this.#done({ revision, applied, failed: [], converged: true });
      const result = await this.#run(plan.steps);
      applied.push(...result.applied);
      if (result.failed.length > 0)
        return this.#done({ revision, applied, failed: result.failed, converged: false });
    }
    const { plan, revision } = await this.#plan();
    const failed = plan.steps.map((step) => ({
      ...describeStep(step),
      error: `still differs after ${MAX_ROUNDS} rounds`,
      waiting: false,
    }));
    return this.#done({ revision, applied, failed, converged: failed.length === 0 });
  }

  /** Runs all steps; one that fails keeps none of the others from being tried but those that would open what it was to narrow. */
  async #run(steps: readonly Step[]): Promise<Pick<ApplyReport, "applied" | "failed">> {
    const applied: StepReport[] = [];
    const failed: ApplyReport["failed"][number][] = [];
    /** What may let more pass than the policy does, and the step that would have mended that. */
    const open = new Map<string, string>();
    for (const group of independent(steps)) {
      const outcomes = await together(group, (step) => this.#try(step, open));
      for (const [index, { report, failure }] of outcomes.entries()) {
        if (failure === null) applied.push(report);
        else failed.push({ ...report, error: failure.error, waiting: failure.waiting });
        const narrowed = narrows(group[index] as Step);
        if (failure !== null && narrowed !== null) open.set(narrowed, report.text);
      }
      if (outcomes.some(({ failure }) => failure?.last === true)) break;
    }
    return { applied, failed };
  }

  /**
   * Makes a step. `last` of a failure: no other step can come after it.
   * @param open consumers and views that a step of this pass has failed to narrow
   */
  async #try(
    step: Step,
    open: ReadonlyMap<string, string>,
  ): Promise<{
    readonly report: StepReport;
    readonly failure: { readonly error: string; readonly waiting: boolean; readonly last: boolean } | null;
  }> {
    const report = describeStep(step);
    if (this.#waitingToWork > 0) {
      return { report, failure: { error: INTERRUPTED, waiting: true, last: true } };
    }
    const first = opens(step).find((name) => open.has(name));
    if (first !== undefined) {
      const error = `waits for a step before it that failed: ${open.get(first)}`;
      return { report, failure: { error, waiting: true, last: false } };
    }
    try {
      await applyStep(this.#options.context, step);
    } catch (error) {
      // Without its configuration the server lacks accounts that later steps need.
      const last = step.type === "configure-server";
      return { report, failure: { error: errorText(error), waiting: error instanceof Waiting, last } };
    }
    this.#options.applied?.(report);
    this.#options.log("info", report.text);
    return { report, failure: null };
  }

  #done(report: ApplyReport): ApplyReport {
    this.#converged = report.converged;
    this.#failures = report.failed.filter((one) => !one.waiting).map((one) => `${one.text}: ${one.error}`);
    const said = report.failed.map((one) => `${one.text}: ${one.error}`).join("\n");
    if (said !== this.#said) {
      for (const one of report.failed) {
        this.#options.log(one.waiting ? "info" : "error", `${one.text}: ${one.error}`);
      }
      this.#said = said;
    }
    return report;
  }
}
