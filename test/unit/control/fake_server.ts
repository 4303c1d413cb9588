/** A nats-server in memory: a plan's steps are done to it, and what it then has is what the next plan observes. */
import type { ConsumerConfig, ConsumerInfo, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import type { PeerKnowledge } from "../../../src/control/agreement.ts";
import type { ConsumerSpec, StreamSpec } from "../../../src/control/assets.ts";
import { type Observed, VIEW_VERSION } from "../../../src/control/observe.ts";
import { type Plan, type PlanInput, planSteps } from "../../../src/control/plan.ts";
import { desiredOfFile } from "../../../src/control/state_documents.ts";
import { type Step, viewKey } from "../../../src/control/step.ts";
import type { DesiredState } from "../../../src/model/desired.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { policyVersion } from "../../../src/policy/compile.ts";

const KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

/** When every policy of these tests was written. */
export const WRITTEN = "2026-01-02T03:04:05.000Z";

/** The state of site `berlin` with the peers `austin` and `tokyo`. */
export function berlin(tenants: readonly TenantDocument[], peers = ["austin", "tokyo"]): DesiredState {
  return desiredOfFile({
    site: "berlin",
    peers: peers.map((name) => ({ name, key: KEY })),
    tenants: [...tenants],
  });
}

/** A peer that has proved its key and said everything. */
export function peer(knowledge: Partial<PeerKnowledge> = {}): PeerKnowledge {
  return { verified: "yes", accepted: [], offered: [], ...knowledge };
}

/** A peer that accepts these subjects of `acme` from `origin`. */
export function accepting(subjects: string[], origin = "berlin"): PeerKnowledge {
  return peer({ accepted: [{ tenant: "acme", origin, subjects, mirror: false }] });
}

interface FakeStream {
  config: StreamConfig;
  readonly consumers: Map<string, ConsumerInfo>;
}

export class FakeServer {
  readonly streams = new Map<string, FakeStream>();
  readonly logs = new Map<string, StreamConfig>();
  readonly views = new Map<string, string>();
  #accounts: readonly string[] = [];

  /** The plan for a state, with what the server has now. */
  plan(desired: DesiredState, peers: PlanInput["peers"] = new Map(), more: Partial<PlanInput> = {}): Plan {
    const accounts = desired.tenants.map((tenant) => tenant.name);
    const same = JSON.stringify(accounts) === JSON.stringify(this.#accounts);
    return planSteps({
      desired,
      peers,
      observed: this.observed(),
      configChanges: same ? [] : ["tenants"],
      strangers: [],
      undialled: [],
      silent: [],
      stuck: [],
      views: this.views,
      changedAt: () => WRITTEN,
      versionOf: (plan) => policyVersion(plan.policy, {}, plan.tenant.schemas),
      ...more,
    });
  }

  /** Plans and applies once. @returns the steps that were done */
  apply(desired: DesiredState, peers?: PlanInput["peers"]): readonly Step[] {
    const { steps } = this.plan(desired, peers);
    for (const step of steps) this.run(step, desired);
    return steps;
  }

  observed(): Observed {
    const mesh = new Map(
      [...this.streams].map(([name, { config, consumers }]) => [
        name,
        { info: { config, state: {} } as StreamInfo, consumers },
      ]),
    );
    const logs = new Map(
      this.#accounts.map((name) => {
        const config = this.logs.get(name);
        return [name, config === undefined ? null : ({ config } as StreamInfo)];
      }),
    );
    return { mesh, logs };
  }

  stream(name: string): FakeStream {
    const found = this.streams.get(name);
    if (found === undefined)
      throw new Error(`no stream ${name}, only ${[...this.streams.keys()].join(", ")}`);
    return found;
  }

  consumer(stream: string, name: string): ConsumerInfo {
    const found = this.stream(stream).consumers.get(name);
    if (found === undefined) throw new Error(`no consumer ${stream}/${name}`);
    return found;
  }

  /** Does one step. */
  run(step: Step, desired: DesiredState): void {
    switch (step.type) {
      case "create-stream":
      case "update-stream":
        this.#putStream(step.account.type === "mesh" ? null : step.account.tenant, step.spec);
        return;
      case "create-view":
        this.#putStream(null, step.spec);
        return;
      case "delete-stream":
        this.streams.delete(step.stream);
        return;
      case "create-consumer":
        this.#putConsumer(step.stream, step.spec, step.paused);
        return;
      case "create-view-consumer":
        this.#putConsumer(step.plan.source, step.spec, false);
        return;
      case "update-consumer":
        this.#updateConsumer(step.stream, step.spec);
        return;
      case "pause-consumer":
        this.consumer(step.stream, step.consumer).paused = true;
        return;
      case "resume-consumer":
        this.consumer(step.stream, step.consumer).paused = false;
        return;
      case "delete-consumer":
        this.stream(step.stream).consumers.delete(step.consumer);
        return;
      case "switch-route":
        this.#putConsumer(step.route.export.stream, step.spec, step.paused);
        this.stream(step.from.stream).consumers.delete(step.from.consumer);
        return;
      case "widen-route":
        this.#putConsumer(step.route.export.stream, step.spec, false);
        return;
      case "configure-server":
        this.#accounts = desired.tenants.map((tenant) => tenant.name);
        return;
      case "start-view":
      case "change-view":
        this.views.set(viewKey(step.plan), step.version);
        this.#putStream(null, { name: step.plan.stream, metadata: { [VIEW_VERSION]: step.version } });
        return;
      case "stop-view":
        this.views.delete(step.key);
        return;
      case "attach-source": {
        const { sources = [] } = this.stream(step.spec.name).config;
        this.#putStream(null, { name: step.spec.name, sources: [...sources, step.source] });
        return;
      }
      case "redial-peer":
      case "kick-leaf":
      case "reattach-source":
      case "unstick-consumer":
        return;
    }
  }

  /** Keeps a stream as the server does: what is 0, false or empty is left out, and entries of its own are added. */
  #putStream(tenant: string | null, spec: StreamSpec): void {
    const before = tenant === null ? this.streams.get(spec.name)?.config : this.logs.get(tenant);
    const config = {
      max_msgs: -1,
      max_consumers: -1,
      ...before,
      ...kept(spec),
      metadata: { ...before?.metadata, ...spec.metadata, "_nats.ver": "2.15.1" },
    } as StreamConfig;
    if (tenant !== null) this.logs.set(tenant, config);
    else
      this.streams.set(spec.name, { config, consumers: this.streams.get(spec.name)?.consumers ?? new Map() });
  }

  /** As the client does: what is not named stays. */
  #updateConsumer(stream: string, spec: ConsumerSpec): void {
    const { config, paused = false } = this.consumer(stream, spec.durable_name);
    this.#putConsumer(stream, { ...config, ...spec } as ConsumerSpec, paused);
  }

  #putConsumer(stream: string, spec: ConsumerSpec, paused: boolean): void {
    const { consumers } = this.stream(stream);
    const config = { replay_policy: "instant", ...kept(spec) } as unknown as ConsumerConfig;
    consumers.set(spec.durable_name, { name: spec.durable_name, config, paused } as ConsumerInfo);
  }
}

function kept(spec: object): object {
  return Object.fromEntries(
    Object.entries(spec).filter(([, value]) => value !== 0 && value !== false && value !== ""),
  );
}
