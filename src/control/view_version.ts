/**
 * What a view notes of the policy that decides it: which one, and after which sequence. A peer that joins gets nothing of what another
 * one let others see. So no note may be older than what the worker was told: it is taken back before or while the worker is told
 * ({@link VIEW_TURNING}), and made anew after; a plan repeats what is missing.
 */
import type { StreamInfo } from "@nats-io/jetstream";
import { errorText } from "../model/errors.ts";
import { POLICY_HEADER } from "../model/names.ts";
import type { ApplyContext } from "./apply.ts";
import { VIEW_TURNING, VIEW_VERSION, VIEW_VERSION_AFTER, VIEW_VERSION_POSITION } from "./observe.ts";
import { messageFrom } from "./position.ts";
import { type Step, viewKey } from "./step.ts";

/** Where notes are made, and their turns: see {@link ApplyContext}. */
type Notes = Pick<ApplyContext, "mesh" | "streamTurns">;

/** Whether a view's note names a version as the one that decides it, or was begun to. */
export function isNoted({ config: { metadata } }: Pick<StreamInfo, "config">, version: string): boolean {
  return metadata?.[VIEW_VERSION] === version || metadata?.[VIEW_TURNING] === version;
}

/** Starts a view's worker. Nobody writes the view before: what it holds may be another version's. */
export async function startView(
  context: ApplyContext,
  { plan, version }: Extract<Step, { type: "start-view" }>,
): Promise<void> {
  await noteVersion(context, plan.stream, version, { position: 0, again: false });
  await context.views.start(plan, version);
}

/** Tells a view's worker of another version, and notes that it was told; where it was told before, only that. */
export async function changeView(
  context: ApplyContext,
  { plan, version, noted }: Extract<Step, { type: "change-view" }>,
): Promise<void> {
  const { views, log } = context;
  if (views.running().get(viewKey(plan)) === version) {
    await noteVersion(context, plan.stream, version, { position: 0, again: true });
    return;
  }
  const turning = noteTurning(context, plan.stream, version);
  // An old note of this version would be taken for the new one, if that cannot be made.
  if (noted) await turning;
  // Otherwise what a stricter policy forbids does not go on because a note cannot be made.
  const begun = turning.catch((error: unknown) => log("warn", `${plan.stream}: ${errorText(error)}`));
  const position = await views.change(plan, version).finally(() => begun);
  await noteVersion(context, plan.stream, version, { position, again: false });
}

/** Takes back which version decides a view: its worker is being told of another one. */
async function noteTurning(notes: Notes, view: string, version: string): Promise<void> {
  await note(notes, view, ({ state }) => ({
    [VIEW_VERSION]: "",
    [VIEW_TURNING]: version,
    [VIEW_VERSION_AFTER]: String(state.last_seq),
  }));
}

/**
 * Notes that a view is decided by `version` from now on. Call it before a worker starts, or after it was told.
 * @param position last position that the version before decided; 0: not known
 * @param again whether the worker was told earlier: events of `version` are in the view already
 */
async function noteVersion(
  notes: Notes,
  view: string,
  version: string,
  { position, again }: { readonly position: number; readonly again: boolean },
): Promise<void> {
  await note(notes, view, async (info) => {
    const {
      [VIEW_VERSION]: noted,
      [VIEW_TURNING]: turning,
      [VIEW_VERSION_AFTER]: since,
    } = info.config.metadata ?? {};
    if (noted === version && !(await endsWithAnother(notes, info, version))) return null;
    const after = again && turning === version && since !== undefined ? since : String(info.state.last_seq);
    const decided: Record<string, string> = position > 0 ? { [VIEW_VERSION_POSITION]: String(position) } : {};
    return { [VIEW_VERSION]: version, [VIEW_VERSION_AFTER]: after, ...decided };
  });
}

/** Whether the last event of a view was decided by another version: its worker was told of that one, and it was never noted. */
async function endsWithAnother(
  { mesh }: Notes,
  { config, state }: StreamInfo,
  version: string,
): Promise<boolean> {
  if (state.last_seq <= Number(config.metadata?.[VIEW_VERSION_AFTER])) return false;
  const last = await messageFrom(mesh, config.name, state.last_seq);
  return last !== null && last.header.get(POLICY_HEADER) !== version;
}

/** Replaces a view's note; `null` leaves it as it is. */
async function note(
  { mesh, streamTurns }: Notes,
  view: string,
  make: (info: StreamInfo) => Record<string, string> | null | Promise<Record<string, string> | null>,
): Promise<void> {
  await streamTurns.take(view, async () => {
    const info = await mesh.streams.info(view);
    const noted = await make(info);
    if (noted === null) return;
    const metadata = { ...info.config.metadata };
    for (const key of [VIEW_VERSION, VIEW_VERSION_AFTER, VIEW_VERSION_POSITION, VIEW_TURNING])
      delete metadata[key];
    await mesh.streams.update(view, { ...info.config, metadata: { ...metadata, ...noted } });
  });
}
