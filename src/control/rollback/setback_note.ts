/**
 * Which streams were found to be older copies, noted beside the store. A route of one is treated with care until it is placed: its
 * peer may have, or have given, events under sequences that are used again. One that is added later has nothing to do with it.
 */
import { join } from "node:path";
import { z } from "zod";
import type { DesiredTenant } from "../../model/desired.ts";
import { parseStreamName } from "../../model/names.ts";
import type { MayChange } from "../../nats/files.ts";
import { NoteFile } from "./note_file.ts";

const FILE = "setback.json";
const Noted = z.record(
  z.string(),
  z.object({
    /** Last sequence of the stream when it was found. */
    last: z.int().nonnegative(),
    /** Routes of that time that are not placed yet: `to <peer>`, `from <origin>`. */
    routes: z.array(z.string()),
  }),
);

/** A route to a peer, or the events that come from an origin. */
export type RouteEnd = `${"to" | "from"} ${string}`;

export class SetbackNote {
  readonly #file: NoteFile<z.infer<typeof Noted>>;

  private constructor(file: NoteFile<z.infer<typeof Noted>>) {
    this.#file = file;
  }

  /** Reads the note. @throws {LeafmeshError} as {@link NoteFile.open} */
  static async open(folder: string, mayChange?: MayChange): Promise<SetbackNote> {
    return new SetbackNote(await NoteFile.open(join(folder, FILE), Noted, mayChange));
  }

  /** Notes streams that are older copies, and the routes that their tenants have now. */
  async add(
    found: readonly { readonly stream: string; readonly last: number; readonly tenant: DesiredTenant }[],
  ): Promise<void> {
    if (found.length === 0) return;
    const all = { ...this.#file.value };
    for (const { stream, last, tenant } of found) {
      const routes = routesOf(stream, tenant);
      if (routes.length === 0) continue;
      const before = all[stream];
      // Routes that were not placed since are of that copy, too.
      const least = before === undefined ? last : Math.min(before.last, last);
      all[stream] = { last: least, routes: [...new Set([...(before?.routes ?? []), ...routes])] };
    }
    await this.#file.replace(all);
  }

  /** Forgets routes that are not wanted any more: one that is wanted again later is a new one. */
  async keep(tenants: readonly DesiredTenant[]): Promise<void> {
    const noted = Object.entries(this.#file.value ?? {});
    const kept = noted.flatMap(([stream, { last, routes }]) => {
      const tenant = tenants.find(({ name }) => name === parseStreamName(stream)?.tenant);
      const wanted = tenant === undefined ? [] : routesOf(stream, tenant);
      const left = routes.filter((one) => wanted.includes(one as RouteEnd));
      return left.length === 0 ? [] : [[stream, { last, routes: left }] as const];
    });
    const all = Object.fromEntries(kept);
    if (JSON.stringify(all) !== JSON.stringify(this.#file.value ?? {})) await this.#file.replace(all);
  }

  /** Where a stream ended that was found to be an older copy; `null`: none of its routes waits to be placed. */
  last(stream: string): number | null {
    return this.#file.value?.[stream]?.last ?? null;
  }

  /** The same for a route that was not placed since; `null`: it was, or came later. */
  lastOf(stream: string, route: RouteEnd): number | null {
    const noted = this.#file.value?.[stream];
    return noted?.routes.includes(route) === true ? noted.last : null;
  }

  /** A route goes on where it should. */
  async placed(stream: string, route: RouteEnd): Promise<void> {
    const noted = this.#file.value?.[stream];
    if (noted?.routes.includes(route) !== true) return;
    const routes = noted.routes.filter((one) => one !== route);
    const { [stream]: _, ...others } = this.#file.value ?? {};
    await this.#file.replace(routes.length === 0 ? others : { ...others, [stream]: { ...noted, routes } });
  }
}

/** The routes of a tenant that begin in a stream, or may end there. */
function routesOf(stream: string, { exports, imports }: DesiredTenant): RouteEnd[] {
  switch (parseStreamName(stream)?.type) {
    case "out":
    case "view":
      return exports.flatMap(({ to }) => to.map((peer): RouteEnd => `to ${peer}`));
    case "in":
    case "quiet":
      return [
        ...exports.flatMap(({ to }) => to.map((peer): RouteEnd => `to ${peer}`)),
        ...imports
          .filter(({ mirror }) => mirror !== true)
          .map(({ from, origin = from }): RouteEnd => `from ${origin}`),
      ];
    default:
      return [];
  }
}
