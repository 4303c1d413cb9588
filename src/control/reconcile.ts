/** Repeats plan and apply until nothing differs: after every change, and every few seconds against drift. */
import type { DesiredState } from "../model/desired.ts";
import { errorText } from "../model/errors.ts";
import type { Peers } from "./agreement.ts";
import type { ApplyReport, StateStore, StepReport } from "./api.ts";
import { type ApplyContext, applyStep, Waiting } from "./apply.ts";
import type { Observed } from "./observe.ts";
import { type Plan, type PlanInput, planSteps } from "./plan.ts";
import type { ExportPlan } from "./routes.ts";
import { describeStep, type Step } from "./step.ts";

/** Looked at again at this pace when nothing happens. */
const EVERY_MS = 2000;
/** While a step waits for a peer: soon at first, then at the pace of the rest. A peer that has news asks for a pass itself. */
const WAIT_MS = 250;
/** Rounds of plan and apply in one pass; a pass that needs more is broken off and said. */
const MAX_ROUNDS = 12;

export interface ReconcilerOptions {
  readonly state: StateStore;
  readonly context: ApplyContext;
  readonly observe: (desired: DesiredState) => Promise<Observed>;
  readonly peers: () => Peers;
  readonly configChanges: () => readonly string[];
  readonly strangers: () => Promise<PlanInput["strangers"]>;
  readonly silent: (observed: Observed) => PlanInput["silent"];
  readonly versionOf: (plan: ExportPlan) => string;
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

export class Reconciler implements AsyncDisposable {
  readonly #options: ReconcilerOptions;
  #queue: Promise<unknown> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #pending = false;
  #ended = false;
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

  /** Makes a plan now and changes nothing. */
  async plan(): Promise<Planned> {
    return await this.#serial(() => this.#plan());
  }

  /** Plans and applies until nothing differs, a step fails, or a peer must be waited for. */
  async apply(): Promise<ApplyReport> {
    return await this.#serial(async () => {
      this.#pending = false;
      const report = await this.#pass();
      this.#schedule(report);
      return report;
    });
  }

  /** Does something else between two passes: what a pass has planned must not be done after it. */
  async between<T>(work: () => Promise<T>): Promise<T> {
    return await this.#serial(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#queue.catch(() => undefined);
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work, work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  #schedule(report: ApplyReport): void {
    if (this.#ended) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const waiting = report.failed.some((one) => one.waiting);
    this.#waits = waiting ? this.#waits + 1 : 0;
    const pauseMs = waiting ? Math.min(WAIT_MS * Math.ceil(this.#waits / 8), EVERY_MS) : EVERY_MS;
    this.#timer = setTimeout(() => this.trigger(), pauseMs);
  }

  async #plan(): Promise<Planned> {
    const { state, revision } = this.#options.state.desired();
    const observed = await this.#options.observe(state);
    const plan = planSteps({
      desired: state,
      peers: this.#options.peers(),
      observed,
      configChanges: this.#options.configChanges(),
      strangers: await this.#options.strangers(),
      silent: this.#options.silent(observed),
      views: this.#options.context.views.running(),
      versionOf: this.#options.versionOf,
      changedAt: (one) =>
        this.#options.state.get({ type: "export", tenant: one.tenant.name, name: one.policy.name })
          ?.changedAt ?? new Date(0).toISOString(),
    });
    this.#last = { plan, observed, revision };
    this.#options.onPlan?.(this.#last);
    return this.#last;
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

  /** Runs all steps; one that fails does not keep the others from being tried. */
  async #run(steps: readonly Step[]): Promise<Pick<ApplyReport, "applied" | "failed">> {
    const applied: StepReport[] = [];
    const failed: ApplyReport["failed"][number][] = [];
    for (const step of steps) {
      const report = describeStep(step);
      try {
        await applyStep(this.#options.context, step);
        applied.push(report);
        this.#options.applied?.(report);
        this.#options.log("info", report.text);
      } catch (error) {
        failed.push({ ...report, error: errorText(error), waiting: error instanceof Waiting });
        // Without its configuration the server lacks accounts that later steps need.
        if (step.type === "configure-server") break;
      }
    }
    return { applied, failed };
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
