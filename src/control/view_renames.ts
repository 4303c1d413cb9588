/**
 * What the events of a view are called. A policy whose rewrite changes leaves events in its view that have the names of before:
 * they are to cross as well, so the view keeps in its metadata by which names it was filled.
 */
import { z } from "zod";
import { tenantSubjects } from "../model/names.ts";
import { intersect, reduce } from "../model/subject.ts";
import { compileRewrite } from "../policy/rewrite.ts";
import { type ObservedStream, VIEW_RENAMES, VIEW_VERSION, VIEW_VERSION_AFTER } from "./observe.ts";
import type { ExportPlan } from "./routes.ts";

/** A pattern and what its subjects are rewritten to; `null`: they keep their own names. */
type Renames = readonly (readonly [pattern: string, rewrite: string | null])[];
const RenamesText = z.array(z.tuple([z.string(), z.string().nullable()]));

/** Metadata of a stream holds 128 KiB. */
const MAX_TEXT = 96 * 1024;
/** More than a worker has decided and not yet stored when its policy changes. */
const MOST_IN_FLIGHT = 32_768;

function renamesOf({ policy, tenant }: ExportPlan): Renames {
  const rules = policy.rules.filter((rule) => !rule.deny);
  const renamed = rules.flatMap((rule) =>
    rule.subjects.flatMap((pattern) =>
      rule.rewrite === undefined ? [] : [[pattern, rule.rewrite] as const],
    ),
  );
  const all = rules.every((rule) => rule.rewrite !== undefined);
  return all ? renamed : [...renamed, [tenantSubjects(tenant.name), null]];
}

/** How the events that a view may hold were renamed; none for a view that is not there. */
function heldBy(plan: ExportPlan, view: ObservedStream | undefined): Renames {
  if (view === undefined) return [];
  const text = view.info.config.metadata?.[VIEW_RENAMES];
  if (text === undefined) return [[tenantSubjects(plan.tenant.name), null]];
  try {
    const read = RenamesText.safeParse(JSON.parse(text));
    return read.success ? read.data : [];
  } catch {
    return [];
  }
}

/** Whether a view never held an event under another name than its own. */
export function keepsNames(view: ObservedStream): boolean {
  return view.info.config.metadata?.[VIEW_RENAMES] === undefined;
}

function renames(all: Renames): boolean {
  return all.some(([, rewrite]) => rewrite !== null);
}

/** The metadata of a view that says how its events are renamed; `null` where none ever was. */
export function renamesToNote(
  plan: ExportPlan,
  view: ObservedStream | undefined,
  version: string,
): string | null {
  const now = renamesOf(plan);
  const held = heldBy(plan, view);
  if (!renames(now) && !renames(held)) return null;
  const before = view === undefined || holdsOnly(view, version) ? [] : held;
  const keyOf = (one: Renames[number]) => JSON.stringify(one);
  const known = new Set(now.map(keyOf));
  const texts = [...known, ...before.map(keyOf).filter((key) => !known.has(key))];
  while (texts.length > now.length && texts.join(",").length > MAX_TEXT) texts.pop();
  return `[${texts.join(",")}]`;
}

/** Whether all events of a view were decided by `version`. */
function holdsOnly({ info }: ObservedStream, version: string): boolean {
  const { metadata } = info.config;
  if (metadata?.[VIEW_VERSION] !== version) return false;
  return info.state.first_seq > Number(metadata[VIEW_VERSION_AFTER] ?? Number.NaN) + MOST_IN_FLIGHT;
}

/**
 * The names that events in a view may have from before, of subjects that the policy still exports. What it does not export any more
 * does not cross, however it is called in the view.
 */
export function heldSubjects(plan: ExportPlan, view: ObservedStream | undefined): string[] {
  if (plan.route.type !== "view") return [];
  const held = heldBy(plan, view);
  if (!renames(held) && !renames(renamesOf(plan))) return [];
  const { subjects } = plan.route;
  return reduce(
    held.flatMap(([pattern, rewrite]) => {
      const rewriter = rewrite === null ? null : compileRewrite(rewrite, [pattern]);
      return subjects.flatMap((exported) => {
        const shared = intersect(pattern, exported);
        if (shared === null) return [];
        // A pattern is rewritten as its subjects are: its wildcards stand for themselves.
        return rewriter === null ? [shared] : (rewriter.apply(shared) ?? []);
      });
    }),
  );
}
