/** The steps that a plan is made of. Each is idempotent: running it twice does what running it once does. */
import type { StreamSource } from "@nats-io/jetstream";
import { linkAccount, logStream, MESH_ACCOUNT, tenantAccount } from "../model/names.ts";
import type { StepReport } from "./api.ts";
import type { ConsumerSpec, StreamAccount, StreamSpec } from "./assets.ts";
import type { MovedLeader } from "./linked_leaders.ts";
import type { ExportPlan, InRoute, OutRoute } from "./routes.ts";
import type { SilentSource } from "./silent_sources.ts";
import type { StuckConsumer } from "./stuck_consumers.ts";

/** Where a new consumer begins. */
export type Start =
  /** With the first event of the stream. `route`: of a stream that was there before, of which the peer may have some. */
  | { readonly type: "first"; readonly route?: OutRoute }
  /**
   * With events from `since` (when the policy was written) on, or after the position that the peer has stored. In a view,
   * with those that `version` of the policy has decided: what another version let others see is not for this peer.
   */
  | {
      readonly type: "new";
      readonly route: OutRoute;
      readonly since: string;
      readonly version: string;
      /** The stream is made with this plan: what the peer has is of an earlier one of its name. */
      readonly fresh: boolean;
    };

export type Step =
  | { readonly type: "stop-view"; readonly key: string }
  | { readonly type: "create-stream"; readonly account: StreamAccount; readonly spec: StreamSpec }
  | {
      readonly type: "update-stream";
      readonly account: StreamAccount;
      readonly spec: StreamSpec;
      readonly changed: readonly string[];
    }
  | {
      readonly type: "create-consumer";
      readonly stream: string;
      readonly spec: ConsumerSpec;
      readonly start: Start;
      readonly paused: boolean;
    }
  | {
      readonly type: "update-consumer";
      readonly stream: string;
      readonly spec: ConsumerSpec;
      readonly changed: readonly string[];
    }
  | {
      readonly type: "pause-consumer";
      readonly stream: string;
      readonly consumer: string;
      readonly why: string;
    }
  | { readonly type: "resume-consumer"; readonly stream: string; readonly consumer: string }
  /** Lets a route go on that was held when the server started, from where the peer says that it is. */
  | {
      readonly type: "place-route";
      readonly route: OutRoute;
      /** Its consumer lets pass nothing but what the policy does not any more: it stays paused, and is made anew. */
      readonly paused: boolean;
    }
  /** The consumer of a user on the tenant's log. */
  | {
      readonly type: "create-reader" | "update-reader";
      readonly tenant: string;
      readonly spec: ConsumerSpec;
    }
  | {
      readonly type: "delete-reader";
      readonly tenant: string;
      readonly consumer: string;
      readonly why: string;
    }
  | ({ readonly type: "unstick-consumer" } & StuckConsumer)
  | { readonly type: "configure-server"; readonly changed: readonly string[] }
  | { readonly type: "kick-leaf"; readonly peer: string; readonly why: string }
  | { readonly type: "redial-peer"; readonly peer: string }
  | {
      readonly type: "create-view";
      readonly plan: ExportPlan;
      readonly spec: StreamSpec;
      readonly from: readonly OldRoute[];
      /** `null`: with the first event that is stored; else with events from then on. */
      readonly since: string | null;
    }
  | { readonly type: "create-view-consumer"; readonly plan: ExportPlan; readonly spec: ConsumerSpec }
  | { readonly type: "start-view"; readonly plan: ExportPlan; readonly version: string }
  | {
      readonly type: "change-view";
      readonly plan: ExportPlan;
      readonly version: string;
      /** The view notes this version from before. */
      readonly noted: boolean;
    }
  /** Attaches a source to one of a tenant's two streams of remote events, after all that either of them has of it. */
  | {
      readonly type: "attach-source";
      readonly route: InRoute;
      readonly spec: StreamSpec;
      readonly source: StreamSource;
    }
  | ({ readonly type: "reattach-source" } & SilentSource)
  /** Has another server of a cluster lead a stream or consumer, which has the links that it needs. */
  | ({ readonly type: "move-leader" } & MovedLeader)
  | {
      readonly type: "switch-route";
      readonly route: OutRoute;
      readonly from: OldRoute;
      /** The peer first takes what is left for it in the old stream. */
      readonly drain: boolean;
      readonly spec: ConsumerSpec;
      readonly paused: boolean;
      /** Of the policy: a view's events that another version decided are not for this peer. */
      readonly version: string;
    }
  /** Makes the consumer of a route anew that lets more pass than before. */
  | {
      readonly type: "widen-route";
      readonly route: OutRoute;
      readonly spec: ConsumerSpec;
      readonly start: Extract<Start, { type: "new" }>;
      /** Something of what it let pass before is still allowed: the peer first takes what there is of it. */
      readonly rest: boolean;
    }
  | {
      readonly type: "delete-consumer";
      readonly stream: string;
      readonly consumer: string;
      readonly why: string;
    }
  | {
      readonly type: "delete-stream";
      readonly account: StreamAccount;
      readonly stream: string;
      readonly why: string;
    };

/** The stream that a peer sourced a route from before its policy changed, and what that stream was filled from. */
export interface OldRoute {
  readonly stream: string;
  readonly consumer: string;
  readonly source: string;
}

/** Full name of a stream: `MESH/out_acme`, `T_acme/acme`. */
function streamTarget(account: StreamAccount, stream: string): string {
  return account.type === "mesh"
    ? `${MESH_ACCOUNT}/${stream}`
    : `${tenantAccount(account.tenant)}/${logStream(account.tenant)}`;
}

/** A step as people and programs read it. */
export function describeStep(step: Step): StepReport {
  const report = (target: string, text: string): StepReport => ({ type: step.type, target, text });
  switch (step.type) {
    case "stop-view":
      return report(step.key, `stop the worker of view ${step.key}: its policy no longer needs one`);
    case "create-stream": {
      const target = streamTarget(step.account, step.spec.name);
      return report(target, `create stream ${target}`);
    }
    case "update-stream": {
      const target = streamTarget(step.account, step.spec.name);
      return report(target, `update stream ${target}: ${step.changed.join(", ")}`);
    }
    case "create-consumer": {
      const target = `MESH/${step.stream}/${step.spec.durable_name}`;
      const start = step.start.type === "first" ? "the first event" : `events from ${step.start.since} on`;
      const held = step.paused ? ", paused until the peer has proved its key and accepts it" : "";
      return report(
        target,
        `create consumer ${target}, starting with ${start}${held}${filterText(step.spec)}`,
      );
    }
    case "update-consumer": {
      const target = `MESH/${step.stream}/${step.spec.durable_name}`;
      return report(target, `update consumer ${target}: ${step.changed.join(", ")}${filterText(step.spec)}`);
    }
    case "pause-consumer":
      return report(
        `MESH/${step.stream}/${step.consumer}`,
        `pause ${step.stream} to ${step.consumer}: ${step.why}`,
      );
    case "resume-consumer":
      return report(`MESH/${step.stream}/${step.consumer}`, `resume ${step.stream} to ${step.consumer}`);
    case "place-route": {
      const { peer, export: plan } = step.route;
      const verb = step.paused ? `place ${plan.stream} to ${peer}` : `let ${plan.stream} to ${peer} go on`;
      return report(`MESH/${plan.stream}/${peer}`, `${verb}, after what ${peer} says that it has stored`);
    }
    case "create-reader":
    case "update-reader": {
      const { tenant, spec } = step;
      const target = `${tenantAccount(tenant)}/${logStream(tenant)}/${spec.durable_name}`;
      const verb = step.type === "create-reader" ? "create" : "update";
      return report(target, `${verb} consumer ${target}${filterText(spec)}`);
    }
    case "delete-reader": {
      const target = `${tenantAccount(step.tenant)}/${logStream(step.tenant)}/${step.consumer}`;
      return report(target, `delete consumer ${target}: ${step.why}`);
    }
    case "configure-server":
      return report("nats.conf", `write and reload the server's configuration: ${step.changed.join(", ")}`);
    case "kick-leaf":
      return report(linkAccount(step.peer), `cut the leaf connection of ${step.peer}: ${step.why}`);
    case "redial-peer":
      return report(
        linkAccount(step.peer),
        `have the server dial ${step.peer} anew: its connection ended, and it has not dialled since`,
      );
    case "create-view": {
      const target = `MESH/${step.spec.name}`;
      return report(target, `create view ${target} of ${step.plan.source}: ${whyView(step.plan)}`);
    }
    case "create-view-consumer":
      return report(
        `MESH/${step.plan.source}/${step.spec.durable_name}`,
        `create the consumer of the view's worker on ${step.plan.source}${filterText(step.spec)}`,
      );
    case "start-view":
      return report(
        viewKey(step.plan),
        `start the worker of view ${viewKey(step.plan)}, policy version ${step.version}`,
      );
    case "change-view":
      return report(
        viewKey(step.plan),
        `decide view ${viewKey(step.plan)} by policy version ${step.version} from now on`,
      );
    case "attach-source":
      return report(
        `MESH/${step.spec.name}`,
        `attach ${step.source.name} of ${step.route.peer} to ${step.spec.name}, after what is stored of it`,
      );
    case "reattach-source":
      return report(
        streamTarget(step.account, step.stream),
        step.by === "wake"
          ? `have the server ask at once for ${step.source} of ${step.api}, the source of ${step.stream}: it is silent`
          : `attach ${step.source} of ${step.api} to ${step.stream} again: it is silent`,
      );
    case "unstick-consumer": {
      const target = `MESH/${step.stream}/${step.consumer}`;
      return report(
        target,
        `look after consumer ${target}, which has events and does not move; ${REMEDY[step.by]}`,
      );
    }
    case "move-leader": {
      const target = step.consumer === null ? step.stream : `${step.stream}/${step.consumer}`;
      return report(
        `MESH/${target}`,
        `have ${step.to} lead ${target}: ${step.from} has no link with ${step.peers.join(", ")}`,
      );
    }
    case "widen-route": {
      const { export: plan, peer } = step.route;
      return report(
        `MESH/${plan.stream}/${peer}`,
        `make consumer MESH/${plan.stream}/${peer} anew, starting after what ${peer} has and ${step.start.since}${filterText(step.spec)}`,
      );
    }
    case "switch-route":
      return report(
        `MESH/${step.route.export.stream}/${step.route.peer}`,
        `switch ${step.route.peer} from ${step.from.stream} to ${step.route.export.stream}, ${step.drain ? `when it has taken the rest of ${step.from.stream}` : "at the position that it has stored"}`,
      );
    case "delete-consumer":
      return report(
        `MESH/${step.stream}/${step.consumer}`,
        `delete consumer ${step.stream}/${step.consumer}: ${step.why}`,
      );
    case "delete-stream": {
      const target = streamTarget(step.account, step.stream);
      return report(target, `delete stream ${target}: ${step.why}`);
    }
  }
}

/** Key of a view: `<tenant>/<policy>`. */
export function viewKey(plan: ExportPlan): string {
  return `${plan.tenant.name}/${plan.policy.name}`;
}

function whyView(plan: ExportPlan): string {
  return plan.route.type === "view" ? plan.route.why.join("; ") : "";
}

function filterText(spec: ConsumerSpec): string {
  return spec.filter_subjects === undefined ? "" : ` (filter ${spec.filter_subjects.join(", ")})`;
}

/** What is done about a consumer that stands still. */
const REMEDY: Readonly<Record<StuckConsumer["by"], string>> = {
  reset: "where nobody stores any, have who takes them attach again",
  link: "where its peer stores nothing, make the link anew",
  attach: "attach the log to it again",
};
