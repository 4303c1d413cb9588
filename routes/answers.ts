/** The types of the API's answers, for its clients. */
import type { DeadLetter, LinkReport } from "../src/control/api.ts";

export type {
  ApplyReport,
  DeadLetter,
  LinkReport,
  PlanReport,
  RouteReport,
  SiteReport,
} from "../src/control/api.ts";
export type { LintReport } from "../src/model/finding.ts";
export type { ShownReport as Explanation } from "./schema/explain.ts";

/** A list of documents; `revision` is what a document's ETag would name, `changedAt` RFC 3339. */
export interface DocumentList<T> {
  readonly items: readonly { readonly revision: number; readonly changedAt: string; readonly value: T }[];
}

export interface LinkList {
  readonly items: readonly LinkReport[];
}

export interface DeadLetterPage {
  readonly items: readonly DeadLetter[];
  /** What to send as `after` for more; `null` at the end. */
  readonly next: number | null;
}

/** Header of every answer: the version of Leafmesh, and with it the sign that it is one. */
export type VersionHeader = "Leafmesh-Version";
/** Header of a write with `?wait=true`: whether nothing is left to do. */
export type AppliedHeader = "Leafmesh-Applied";
