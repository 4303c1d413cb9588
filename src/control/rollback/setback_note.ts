/**
 * Which streams were found to be older copies, noted beside the store. A route of one is treated with care until it is placed: its
 * peer may have, or have given, events under sequences that are used again. One that is added later has nothing to do with it, but
 * where the whole data folder is of a backup: that does not know which routes there were.
 */
import { join } from "node:path";
import { z } from "zod";
import type { DesiredState } from "../../model/desired.ts";
import { parseStreamName, remoteStreams } from "../../model/names.ts";
import type { MayChange } from "../../nats/files.ts";
import { type ExportPlan, planExports } from "../routes.ts";
import { NoteFile } from "./note_file.ts";

const FILE = "setback.json";
/** In place of a route: every one that is not named. */
const ALL = "all";
/** By stream, and by its routes that are not placed yet: last sequence of the stream when it was found. `null`: placed, and not one of {@link ALL}. */
const Noted = z.record(z.string(), z.record(z.string(), z.int().nonnegative().nullable()));

/** A route to a peer that begins in a stream, the same through a view that is filled from it, or the events that come from an origin. */
export type RouteEnd = `to ${string}` | `to ${string} by ${string}` | `from ${string}` | typeof LEFT;
/** In place of the routes that move away from a view which no policy fills any more. */
export const LEFT = "left";

/** What a route to a peer is noted as, in each stream that it reads. */
export function routeEnds(
  { stream, source }: Pick<ExportPlan, "stream" | "source">,
  peer: string,
): readonly (readonly [stream: string, end: RouteEnd])[] {
  const own = [stream, `to ${peer}`] as const;
  return source === stream ? [own] : [own, [source, `to ${peer} by ${stream}`]];
}

export class SetbackNote {
  readonly #file: NoteFile<z.infer<typeof Noted>>;

  private constructor(file: NoteFile<z.infer<typeof Noted>>) {
    this.#file = file;
  }

  /** Reads the note. @throws {LeafmeshError} as {@link NoteFile.open} */
  static async open(folder: string, mayChange?: MayChange): Promise<SetbackNote> {
    return new SetbackNote(await NoteFile.open(join(folder, FILE), Noted, mayChange));
  }

  /** Notes streams that are older copies, and the routes of now that read them, or end there. */
  async add(
    found: readonly { readonly stream: string; readonly last: number }[],
    state: DesiredState,
  ): Promise<void> {
    if (found.length === 0) return;
    const all = { ...this.#file.value };
    const wanted = wantedRoutes(state);
    for (const { stream, last } of found) {
      const routes = { ...all[stream] };
      // One that was not placed since is of that copy, too; what another was given since is of this one alone.
      const least = (end: RouteEnd | typeof ALL) => Math.min(this.#last(stream, end) ?? last, last);
      if (routes[ALL] !== undefined) routes[ALL] = least(ALL);
      for (const end of wanted.get(stream) ?? []) routes[end] = least(end);
      // One that no policy fills any more: peers may still have to take what it holds.
      if (!wanted.has(stream) && parseStreamName(stream)?.type === "view") routes[LEFT] = least(LEFT);
      if (Object.keys(routes).length > 0) all[stream] = routes;
    }
    await this.#file.replace(all);
  }

  /** Notes the streams of a data folder that was put back, with all routes that they have now or get later. */
  async addAll(found: readonly { readonly stream: string; readonly last: number }[]): Promise<void> {
    const all = { ...this.#file.value };
    for (const { stream, last } of found) {
      const waiting = Object.entries(all[stream] ?? {}).flatMap(([end, before]) =>
        before === null ? [] : [[end, Math.min(before, last)] as const],
      );
      all[stream] = { [ALL]: last, ...Object.fromEntries(waiting) };
    }
    await this.#file.replace(all);
  }

  /** Forgets routes that are not wanted any more: one that is wanted again later is a new one. */
  async keep(state: DesiredState): Promise<void> {
    const noted = Object.entries(this.#file.value ?? {});
    if (noted.length === 0) return;
    const wanted = wantedRoutes(state);
    const tenants = new Set(state.tenants.map(({ name }) => name));
    const kept = noted.flatMap(([stream, routes]) => {
      if (!tenants.has(parseStreamName(stream)?.tenant ?? "")) return [];
      const left = Object.entries(routes).filter(
        ([end, last]) =>
          end === ALL ||
          last === null ||
          (end === LEFT ? !wanted.has(stream) : wanted.get(stream)?.has(end as RouteEnd) === true),
      );
      return left.length === 0 ? [] : [[stream, Object.fromEntries(left)] as const];
    });
    const all = Object.fromEntries(kept);
    if (JSON.stringify(all) !== JSON.stringify(this.#file.value)) await this.#file.replace(all);
  }

  /** Where a stream ended that was found to be an older copy, for a route that was not placed since; `null`: it was, or came later. */
  lastOf(stream: string, route: RouteEnd): number | null {
    return this.#last(stream, route);
  }

  /** A route goes on where it should. */
  async placed(stream: string, route: RouteEnd): Promise<void> {
    if (this.lastOf(stream, route) === null) return;
    const { [stream]: noted, ...others } = this.#file.value ?? {};
    const { [route]: _, ...rest } = noted ?? {};
    const left = ALL in rest ? { ...rest, [route]: null } : rest;
    await this.#file.replace(Object.keys(left).length === 0 ? others : { ...others, [stream]: left });
  }

  #last(stream: string, route: RouteEnd | typeof ALL): number | null {
    const routes = this.#file.value?.[stream] ?? {};
    return (route in routes ? routes[route] : routes[ALL]) ?? null;
  }
}

/** By stream: the routes that read it, and the origins whose events it takes. */
function wantedRoutes(state: DesiredState): ReadonlyMap<string, ReadonlySet<RouteEnd>> {
  const wanted = new Map<string, Set<RouteEnd>>();
  const want = (stream: string, end: RouteEnd) =>
    wanted.set(stream, (wanted.get(stream) ?? new Set<RouteEnd>()).add(end));
  for (const plan of planExports(state)) {
    for (const peer of plan.policy.to) for (const [stream, end] of routeEnds(plan, peer)) want(stream, end);
  }
  for (const tenant of state.tenants) {
    for (const { from, origin = from, mirror } of tenant.imports) {
      if (mirror === true) continue;
      // What it was may stand in either.
      for (const stream of remoteStreams(tenant.name)) want(stream, `from ${origin}`);
    }
  }
  return wanted;
}
