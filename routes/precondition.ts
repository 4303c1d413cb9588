/** ETags and the preconditions of RFC 9110: who writes says what they have read. */
import type { Context } from "hono";
import { LeafmeshError } from "../src/model/errors.ts";

/** The ETag of a revision: `"7"`. */
export function etag(revision: number): string {
  return `"${revision}"`;
}

/** Whether the client has this revision already (`If-None-Match`). */
export function isNotModified(c: Context, revision: number): boolean {
  const header = c.req.header("if-none-match");
  if (header === undefined) return false;
  return header.trim() === "*" || tagsOf(header, "weak").includes(etag(revision));
}

/**
 * Holds a write against what the client has read.
 *
 * @param label the document in messages, for example `export acme/eu-orders`
 * @param current its revision, `null` when it does not exist
 * @returns what the store must find: a revision, or `null` for a document that is to be created
 * @throws LeafmeshError `precondition_required` when it exists and the client does not say which revision it read,
 * `precondition_failed` when that was another one; both leave the current ETag in the response
 */
export function expectedRevision(c: Context, label: string, current: number | null): number | null {
  const ifMatch = c.req.header("if-match");
  const ifNoneMatch = c.req.header("if-none-match");
  if (current !== null) c.header("ETag", etag(current));
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== "*") {
    const text =
      "If-None-Match of a write takes '*' alone (create only); use If-Match with the ETag that was read";
    throw new LeafmeshError("request_invalid", text);
  }
  if (ifNoneMatch !== undefined && current !== null) {
    throw new LeafmeshError("precondition_failed", `There is ${label} already (revision ${current})`);
  }
  if (current === null) {
    if (ifMatch === undefined) return null;
    throw new LeafmeshError("precondition_failed", `There is no ${label}: it was removed, or never made`);
  }
  if (ifMatch === undefined) {
    const text = `There is ${label} already: read it, then send its ETag as If-Match ('*' for any)`;
    throw new LeafmeshError("precondition_required", text);
  }
  if (ifMatch.trim() === "*" || tagsOf(ifMatch, "strong").includes(etag(current))) return current;
  throw new LeafmeshError(
    "precondition_failed",
    `The ${label} has revision ${current} now, If-Match is ${ifMatch}: read it again`,
  );
}

function tagsOf(header: string, comparison: "strong" | "weak"): string[] {
  const tags = header.split(",").map((tag) => tag.trim());
  return comparison === "weak" ? tags.map((tag) => tag.replace(/^W\//, "")) : tags;
}
