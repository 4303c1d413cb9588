/** Runs the steps of a plan on the server. */
import type { ConsumerConfig, JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import { logStream } from "../model/names.ts";
import type { ResetDone, ResetTo } from "../nats/consumer_reset.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import { addConsumer, resumeConsumer } from "./apply_consumers.ts";
import { attachSource, jsm, type Missed, reattachSource, unstick, updateStream } from "./apply_sources.ts";
import type { StreamSpec } from "./assets.ts";
import { createConsumer } from "./create_consumer.ts";
import { pauseConsumer } from "./hold_consumer.ts";
import { layoutMetadata } from "./layout.ts";
import type { LetGoOptions } from "./let_go.ts";
import type { MovedLeader } from "./linked_leaders.ts";
import { VIEW_AFTER } from "./observe.ts";
import { beginOfView, positionAt, sequenceAt } from "./position.ts";
import type { AgainAsk } from "./rollback/again.ts";
import type { HoldNote } from "./rollback/hold_note.ts";
import { type PeerAhead, placeRoute } from "./rollback/place.ts";
import type { RewindAsk } from "./rollback/rewind.ts";
import type { SetbackNote } from "./rollback/setback_note.ts";
import type { ExportPlan } from "./routes.ts";
import type { SilentSource } from "./silent_sources.ts";
import type { SourceWaits } from "./source_waits.ts";
import type { OldRoute, Step } from "./step.ts";
import type { StuckConsumer } from "./stuck_consumers.ts";
import type { PeerLacks } from "./switch.ts";
import { switchRoute } from "./switch_route.ts";
import type { NamedTurns } from "./turns.ts";
import { updateConsumer } from "./update_consumer.ts";
import { changeView, startView } from "./view_version.ts";
import { widenRoute } from "./widen_route.ts";

/** The workers of views, run by the data plane. */
export interface ViewRunner {
  /** Version of the policy that each running view decides by, by `<tenant>/<policy>`. */
  running(): ReadonlyMap<string, string>;
  start(plan: ExportPlan, version: string): Promise<void>;
  /** @returns source sequence of the last event that the version before decided; 0: not known */
  change(plan: ExportPlan, version: string): Promise<number>;
  /** Stops a worker when what it has in hand is stored and acknowledged. */
  stop(key: string): Promise<void>;
}

/** How far a peer has stored a stream of ours. `sequence` 0: nothing, or not known any more. */
export interface PeerPosition {
  /** The peer still sources from the stream. */
  readonly attached: boolean;
  readonly sequence: number;
  /** Of the last event of that origin which the peer has: its position in the stream that it was published to. */
  readonly position?: number | undefined;
  /** The sequence after which it would go on by what is stored of it. Not there: that does not tell. */
  readonly goesOnAfter?: number | undefined;
  /** Of the stream that it has that of; empty: not known. */
  readonly identity?: string | undefined;
  /** Its store is an older copy, and it has not taken the source up again since: it may have acknowledged more than it has. */
  readonly older?: boolean | undefined;
}

/** What steps are made with. */
export interface ApplyContext {
  readonly site: string;
  readonly mesh: JetStreamManager;
  /** By stream of MESH: the server takes whole configurations, and what another one wrote since it was read would be lost. */
  readonly streamTurns: NamedTurns;
  /** JetStream of a tenant's account. */
  readonly tenant: (tenant: string) => Promise<JetStreamManager>;
  /** Writes, checks and reloads the server's configuration. */
  readonly configure: () => Promise<void>;
  /** Has the server dial a peer anew. */
  readonly redial: (peer: string) => Promise<void>;
  readonly kickLeaf: (peer: string) => Promise<void>;
  readonly views: ViewRunner;
  /** @throws {LeafmeshError} `peer_unreachable` when the peer does not answer. */
  readonly peerPosition: (peer: string, tenant: string, stream: string) => Promise<PeerPosition>;
  /**
   * Sets where the consumer that we source a peer's stream from goes on, `null`: where it is.
   * @throws when the peer's server does not do it.
   */
  readonly resetSource: (peer: string, stream: string, sequence: ResetTo) => Promise<ResetDone>;
  /** Sets where a consumer of MESH goes on, `null`: where it is. Answers with the identity of the stream. @throws {LeafmeshError} when the server refuses it */
  readonly resetHere: (stream: string, consumer: string, sequence: number | null) => Promise<string>;
  /** Has who takes what a consumer of MESH delivers attach again: see let_go.ts. */
  readonly letGo: (stream: string, consumer: string, options?: LetGoOptions) => Promise<boolean>;
  /** Whether a peer has stored nothing since it was asked last. */
  readonly standsStill: (stuck: StuckConsumer, stored: number) => boolean;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  /** Has a peer take a source back. @throws when it cannot be asked, or does not do it */
  readonly rewindPeer: (peer: string, ask: RewindAsk) => Promise<unknown>;
  /** Has a peer take a source up again, after what it has stored of it. @throws when it cannot be asked, or does not do it */
  readonly takeUpAgain: (peer: string, ask: AgainAsk) => Promise<unknown>;
  /** The sequence that a stream begins with that is made. */
  readonly firstSequence: (stream: string) => number;
  /** Which streams are older copies, beside the store. */
  readonly setbacks: Pick<SetbackNote, "lastOf" | "placed">;
  /** Where routes are held, beside the store. */
  readonly holds: HoldNote;
  /** A peer has events of ours that our store has lost. */
  readonly peerAhead: (found: PeerAhead) => void;
  /** A peer's events that our store has lost do not come again. */
  readonly missed: (found: Missed) => void;
  /** A peer's store was found to be an older copy, and what it lacks is before the view begins that it moves to. */
  readonly peerLacks: (found: PeerLacks) => void;
  /** Has another server lead. @throws {LeafmeshError} `apply_failed` */
  readonly moveLeader: (moved: MovedLeader) => Promise<void>;
  /** Tells a peer that what we offer has changed. */
  readonly poke: (peer: string) => void;
  /** Sources that were taken out. */
  readonly waits: SourceWaits;
  /** Whether the server itself listens to a subject of MESH, at any server of the site. */
  readonly listens: (subject: string) => Promise<boolean>;
  /** Has a server that waits to ask for a source again ask at once. */
  readonly wakeSource: (deliverSubject: string) => void;
  /** The server has answered that it has put a source in, or could not. */
  readonly putIn: (source: Omit<SilentSource, "by">, refused: boolean) => void;
}

/** Runs one step. @throws {Waiting} when it must wait for a peer; any other error is a failure. */
export async function applyStep(context: ApplyContext, step: Step): Promise<void> {
  const { mesh } = context;
  switch (step.type) {
    case "create-stream":
      await (await jsm(context, step.account)).streams.add(streamMade(context, step));
      return;
    case "update-stream":
      await updateStream(context, step);
      return;
    case "delete-stream":
      await unlessGone((await jsm(context, step.account)).streams.delete(step.stream), null);
      return;
    case "create-consumer":
      await createConsumer(context, step);
      return;
    case "update-consumer":
      await updateConsumer(context, step);
      return;
    case "pause-consumer":
      await pauseConsumer(mesh, step.stream, step.consumer);
      return;
    case "resume-consumer":
      await resumeConsumer(context, step.stream, step.consumer);
      return;
    case "place-route":
      await placeRoute(context, step.route, step.paused);
      return;
    case "delete-consumer":
      await unlessGone(mesh.consumers.delete(step.stream, step.consumer), null);
      return;
    case "create-reader":
    case "update-reader": {
      const { tenant, spec, type } = step;
      const { consumers } = await context.tenant(tenant);
      if (type === "create-reader") await consumers.add(logStream(tenant), spec as ConsumerConfig);
      else await consumers.update(logStream(tenant), spec.durable_name, spec as ConsumerConfig);
      return;
    }
    case "delete-reader":
      await unlessGone(
        (await context.tenant(step.tenant)).consumers.delete(logStream(step.tenant), step.consumer),
        null,
      );
      return;
    case "configure-server":
      await context.configure();
      return;
    case "unstick-consumer":
      await unstick(context, step);
      return;
    case "redial-peer":
      await context.redial(step.peer);
      return;
    case "kick-leaf":
      await context.kickLeaf(step.peer);
      return;
    case "create-view":
      await createView(mesh, step.plan, step.spec, step.from, step.since);
      return;
    case "create-view-consumer":
      await addConsumer(mesh, step.plan.source, step.spec, await viewAfter(mesh, step.plan), {
        paused: false,
      });
      return;
    case "start-view":
      await startView(context, step);
      return;
    case "change-view":
      await changeView(context, step);
      return;
    case "stop-view":
      await context.views.stop(step.key);
      return;
    case "attach-source":
      await attachSource(context, step);
      return;
    case "move-leader":
      await context.moveLeader(step);
      return;
    case "reattach-source":
      await reattachSource(context, step);
      return;
    case "switch-route":
      await switchRoute(context, step);
      return;
    case "widen-route":
      await widenRoute(context, step);
      return;
  }
}

/** A stream that was there before goes on behind its sequences: none means two events to a peer. */
function streamMade(context: ApplyContext, { account, spec }: Extract<Step, { type: "create-stream" }>) {
  const first = account.type === "mesh" && !spec.mirror ? context.firstSequence(spec.name) : 1;
  const metadata = { ...spec.metadata, ...layoutMetadata() };
  return { ...spec, metadata, ...(first > 1 ? { first_seq: first } : {}) } as StreamConfig;
}

/** Makes a view that begins where the first of the peers that move to it has got to. */
async function createView(
  mesh: JetStreamManager,
  plan: ExportPlan,
  spec: StreamSpec,
  from: readonly OldRoute[],
  since: string | null,
): Promise<void> {
  let after = since === null ? 0 : await sequenceAt(mesh, plan.source, new Date(since));
  for (const old of from) {
    const info = await mesh.consumers.info(old.stream, old.consumer);
    const position = await positionAt(mesh, old.stream, old.source, info.ack_floor.stream_seq);
    const begin = Math.max(position, (info.config.opt_start_seq ?? 1) - 1);
    after = Math.min(after, begin);
  }
  const made = await mesh.streams.add({
    ...spec,
    // No sequence of an earlier view of this name, which a peer may still report, is one of this view.
    ...(after === 0 ? {} : { first_seq: after + 1 }),
    metadata: { ...spec.metadata, ...layoutMetadata(), [VIEW_AFTER]: String(after) },
  } as StreamConfig);
  // nats-server 2.15 may bring back events of a stream that was just deleted: another policy let those be seen.
  if (made.state.messages > 0) await mesh.streams.purge(spec.name);
}

/** Where the worker of a view goes on: after the last event of the view, or after where the view begins. */
async function viewAfter(mesh: JetStreamManager, plan: ExportPlan): Promise<number> {
  const { config, state } = await mesh.streams.info(plan.stream);
  const begin = beginOfView(config);
  if (state.last_seq === 0) return begin;
  return Math.max(begin, await positionAt(mesh, plan.stream, plan.source, state.last_seq));
}
