/**
 * Which streams were found to be older copies, noted beside the store. A route of one is treated with care until it is placed: its
 * peer may have, or have given, events under sequences that are used again. One that is added later has nothing to do with it.
 */
import { join } from "node:path";
import { z } from "zod";
import type { DesiredTenant } from "../../model/desired.ts";
import type { MayChange } from "../../nats/files.ts";
import { NoteFile } from "./note_file.ts";

const FILE = "setback.json";
const Noted = z.record(
  z.string(),
  z.object({
    /** Last sequence of the stream when it was found. */
    last: z.int().nonnegative(),
    /** Routes of that time that are not placed yet: `to <peer>`, `from <peer>`. */
    routes: z.array(z.string()),
  }),
);

/** A route by its direction and the peer at its other end. */
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
      const before = all[stream];
      // Routes that were not placed since are of that copy, too.
      const least = before === undefined || before.routes.length === 0 ? last : Math.min(before.last, last);
      all[stream] = { last: least, routes: [...new Set([...(before?.routes ?? []), ...routesOf(tenant)])] };
    }
    await this.#file.replace(all);
  }

  /** Where a stream ended that was found to be an older copy last; `null`: it never was. */
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
    await this.#file.replace({ ...this.#file.value, [stream]: { ...noted, routes } });
  }
}

function routesOf({ exports, imports }: DesiredTenant): RouteEnd[] {
  return [
    ...exports.flatMap(({ to }) => to.map((peer): RouteEnd => `to ${peer}`)),
    ...imports.map(({ from }): RouteEnd => `from ${from}`),
  ];
}
