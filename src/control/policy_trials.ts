/** Rules tried without being in force: on one event, on stored events, and on those to come. */
import type { DesiredState } from "../model/desired.ts";
import type { PolicyKeys } from "../model/keys.ts";
import type { ExportPolicy } from "../model/schema/policy.ts";
import type { ShadowNumbers } from "../model/shadow.ts";
import type { CompileOptions } from "../policy/compile.ts";
import { Workspace } from "../policy/redact/workspace.ts";
import type { Peers } from "./agreement.ts";
import { candidacy } from "./candidate.ts";
import type { DiffReport, DiffRequest, ShadowReport } from "./compare_api.ts";
import { Differ } from "./diff.ts";
import { explainForPeers, keyNotes } from "./explain.ts";
import type { ExplainReport, ExplainRequest } from "./explain_api.ts";
import { planExports } from "./routes.ts";
import { Shadows } from "./shadows.ts";
import type { SiteControlOptions } from "./site_options.ts";

export interface PolicyTrialsOptions
  extends Pick<SiteControlOptions, "mesh" | "scan" | "state" | "tenantKeys" | "log"> {
  readonly desired: () => DesiredState;
  /** What is known of the peers. */
  readonly knowledge: () => Peers;
}

/** Explanations, diffs and shadows of a site's policies; nothing of them is published. */
export class PolicyTrials implements AsyncDisposable {
  readonly #options: PolicyTrialsOptions;
  readonly #differ: Differ;
  readonly #shadows: Shadows;
  /** Of the policies that are compiled here: they decide one event after the other. */
  readonly #workspace = new Workspace();

  constructor(options: PolicyTrialsOptions) {
    this.#options = options;
    const { mesh, scan, state, desired, log } = options;
    this.#differ = new Differ(mesh, scan);
    this.#shadows = new Shadows({
      mesh,
      scan,
      desired,
      wanted: () =>
        state.list("shadow").map(({ ref, document }) => ({ ...ref, rules: document.value.rules })),
      optionsOf: (tenant, policy) => this.optionsOf(tenant, policy),
      log,
    });
  }

  /** What a policy is compiled with, its tenant's keys made where they are missing. @throws what keeps a key from being read */
  async optionsOf(tenant: string, policy: ExportPolicy): Promise<CompileOptions> {
    return this.#compileOptions(tenant, policy, await this.#options.tenantKeys.load(tenant));
  }

  /** Has the shadows be those that the state asks for. */
  sync(): void {
    this.#shadows.sync();
  }

  /** What would become of an event for each peer, by the rules in force. */
  async explain(tenant: string, request: ExplainRequest): Promise<ExplainReport> {
    const state = this.#options.desired();
    const exports = planExports(state).filter((plan) => plan.tenant.name === tenant);
    const { keys, missing } = await this.#options.tenantKeys.peek(tenant);
    return explainForPeers({
      site: state.site,
      tenant,
      exports,
      peers: state.peers.map((peer) => peer.name),
      knowledge: this.#options.knowledge(),
      keys,
      notes: keyNotes(
        tenant,
        missing,
        exports.map(({ policy }) => policy),
      ),
      request,
      workspace: this.#workspace,
    });
  }

  /** What other rules would have done with stored events. @throws {LeafmeshError} `policy_invalid`, `not_found` */
  async diff(tenant: string, name: string, request: DiffRequest): Promise<DiffReport> {
    this.#options.state.check({ type: "shadow", tenant, name }, { rules: [...request.rules] });
    const { keys, missing } = await this.#options.tenantKeys.peek(tenant);
    const policies: ExportPolicy[] = [];
    const optionsOf = async (of: string, policy: ExportPolicy) => {
      policies.push(policy);
      return this.#compileOptions(of, policy, keys);
    };
    const sides = await candidacy(this.#options.desired(), tenant, name, request.rules, optionsOf);
    const report = await this.#differ.run(tenant, name, sides, request);
    return { ...report, notes: [...report.notes, ...keyNotes(tenant, missing, policies)] };
  }

  /** What an export's shadow has counted. @throws {LeafmeshError} `not_found` without a shadow */
  async shadow(tenant: string, name: string, samples: boolean): Promise<ShadowReport> {
    return this.#shadows.report(tenant, name, samples);
  }

  /** What the running shadows have counted. */
  shadowNumbers(): readonly ShadowNumbers[] {
    return this.#shadows.numbers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shadows[Symbol.asyncDispose]();
  }

  #compileOptions(tenant: string, policy: ExportPolicy, keys: PolicyKeys): CompileOptions {
    const schemas = this.#options.desired().tenants.find(({ name }) => name === tenant)?.schemas;
    return { tenant, policy, schemas, keys, workspace: this.#workspace };
  }
}
