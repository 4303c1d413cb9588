/** Reading and writing a document of the state, the same for every type of resource. */
import type { Context } from "hono";
import type {
  ResourceRef,
  ResourceType,
  ResourceValue,
  ResourceValues,
  Versioned,
} from "../src/control/resource.ts";
import { LeafmeshError } from "../src/model/errors.ts";
import type { AppliedHeader } from "./answers.ts";
import type { ApiOptions } from "./options.ts";
import { etag, expectedRevision, isNotModified } from "./precondition.ts";
import { noTenant } from "./visible.ts";

/** Answers with a document and its ETag, or 304 when the client has it. @throws LeafmeshError `not_found` */
export function readDocument<R extends ResourceRef>(
  c: Context,
  { control }: ApiOptions,
  ref: R,
  shape: (value: ResourceValue<R>) => object = (value) => value,
): Response {
  const found = control.state.get(ref);
  if (found === null) throw missing(ref);
  c.header("ETag", etag(found.revision));
  c.header("Last-Modified", new Date(found.changedAt).toUTCString());
  return isNotModified(c, found.revision) ? c.body(null, 304) : c.json(shape(found.value), 200);
}

interface ListedDocument<T extends ResourceType> extends Versioned<ResourceValues[T]> {
  readonly ref: Extract<ResourceRef, { type: T }>;
}

/** All documents of a type. @throws LeafmeshError `not_found` when their tenant does not exist */
export function listDocuments<T extends ResourceType>(
  { control }: ApiOptions,
  type: T,
  tenant?: string,
): ListedDocument<T>[] {
  if (tenant !== undefined) requireTenant(control, tenant);
  return control.state.list(type, tenant).map(({ ref, document }) => ({ ref, ...document }));
}

/**
 * Writes a document under the preconditions of the request.
 *
 * @returns the status to answer with: 201 when it is new, else 200
 * @throws LeafmeshError as {@link expectedRevision} and the store's `put`
 */
export async function writeDocument<R extends ResourceRef>(
  c: Context,
  options: ApiOptions,
  ref: R,
  value: ResourceValue<R>,
): Promise<200 | 201> {
  const { state } = options.control;
  const before = state.get(ref)?.revision ?? null;
  const expected = expectedRevision(c, labelOf(ref), before);
  const revision = await guarded(c, options, ref, () => state.put(ref, value, expected));
  c.header("ETag", etag(revision));
  await applyIfAsked(c, options);
  return before === null ? 201 : 200;
}

/** Whether a write would find what its request expects. @throws LeafmeshError as {@link expectedRevision} */
export function meetsPrecondition(c: Context, { control }: ApiOptions, ref: ResourceRef): boolean {
  const before = control.state.get(ref)?.revision ?? null;
  const expected = expectedRevision(c, labelOf(ref), before);
  return expected === undefined || expected === before;
}

/** Removes a document under the preconditions of the request. @throws LeafmeshError as {@link writeDocument} */
export async function removeDocument(c: Context, options: ApiOptions, ref: ResourceRef): Promise<Response> {
  const { state } = options.control;
  const before = state.get(ref)?.revision ?? null;
  if (before === null) throw missing(ref);
  const expected = expectedRevision(c, labelOf(ref), before);
  await guarded(c, options, ref, () => state.remove(ref, expected ?? undefined));
  c.header("ETag", undefined);
  await applyIfAsked(c, options);
  return c.body(null, 204);
}

/** @throws LeafmeshError `not_found` */
export function requireTenant(control: ApiOptions["control"], tenant: string): void {
  if (control.state.get({ type: "tenant", tenant }) === null) throw noTenant(tenant);
}

/**
 * Refuses a body that names another thing than the path.
 *
 * @throws LeafmeshError `request_invalid`
 */
export function requireSame(field: string, inPath: string | undefined, inBody: string | undefined): void {
  if (inBody === undefined || inBody === inPath) return;
  const message = `is '${inBody}', but the URL says ${inPath === undefined ? "nothing" : `'${inPath}'`}`;
  throw new LeafmeshError("request_invalid", `The body's '${field}' ${message}`, {
    problems: [{ path: field, message }],
  });
}

/** A document as messages name it: `export acme/eu-orders`. */
function labelOf(ref: ResourceRef): string {
  switch (ref.type) {
    case "peer":
      return `peer '${ref.peer}'`;
    case "invitation":
      return `invitation '${ref.id}'`;
    case "revocation":
      return `revocation of key '${ref.key}'`;
    case "tenant":
      return `tenant '${ref.tenant}'`;
    case "schema":
      return `schema '${ref.name}' of tenant '${ref.tenant}'`;
    case "export":
      return `export '${ref.name}' of tenant '${ref.tenant}'`;
    case "shadow":
      return `shadow of export '${ref.name}' of tenant '${ref.tenant}'`;
    case "import":
      return `import of tenant '${ref.tenant}' from '${ref.from}'${ref.origin === undefined ? "" : ` (origin '${ref.origin}')`}`;
  }
}

function missing(ref: ResourceRef): LeafmeshError {
  return new LeafmeshError("not_found", `There is no ${labelOf(ref)}`);
}

/** Somebody may write between our look and ours: the answer then names the revision of theirs. */
async function guarded<T>(
  c: Context,
  { control }: ApiOptions,
  ref: ResourceRef,
  write: () => Promise<T>,
): Promise<T> {
  try {
    return await write();
  } catch (thrown) {
    if (thrown instanceof LeafmeshError && thrown.code === "precondition_failed") {
      const now = control.state.get(ref);
      c.header("ETag", now === null ? undefined : etag(now.revision));
    }
    throw thrown;
  }
}

/** `?wait=true`: applies before the answer. The document is stored either way, so a failed step is no failed write. */
export async function applyIfAsked(c: Context, { control, log }: ApiOptions): Promise<void> {
  if (c.req.query("wait") !== "true") return;
  let applied = false;
  try {
    applied = (await control.apply()).converged;
  } catch (thrown) {
    const code = thrown instanceof LeafmeshError ? thrown.code : "internal";
    log.warn("apply after a change failed", { method: c.req.method, path: c.req.path, code });
  }
  c.header("Leafmesh-Applied" satisfies AppliedHeader, String(applied));
}
