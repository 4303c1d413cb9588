/** `/v1/tenants/{tenant}/schemas`: the JSON Schemas that rules name, and their versions. */
import { createRoute, type z } from "@hono/zod-openapi";
import { LeafmeshError } from "../src/model/errors.ts";
import { type JsonSchema, SchemaDocument, SchemaVersion } from "../src/model/schema/contract.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import {
  applyIfAsked,
  listDocuments,
  readDocument,
  removeDocument,
  requireSame,
  requireTenant,
  writeDocument,
} from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import { etag, expectedRevision, isNotModified } from "./precondition.ts";
import { problemResponse } from "./problem.ts";
import {
  SchemaBody,
  SchemaCheckBody,
  SchemaCheckReport,
  SchemaParams,
  SchemaSummary,
  VersionBody,
  VersionParams,
} from "./schema/contract.ts";
import { jsonBody, ReadHeaders, TenantParams, WaitQuery, WriteHeaders } from "./schema/request.ts";
import {
  jsonResponse,
  listResponses,
  readResponses,
  removeResponses,
  writeResponses,
} from "./schema/response.ts";

const path = "/v1/tenants/{tenant}/schemas/{name}";
const versionPath = `${path}/versions/{version}` as const;
const common = { tags: ["schemas"], security: BEARER };

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/tenants/{tenant}/schemas",
  operationId: "listSchemas",
  summary: "All schemas of a tenant, without their content",
  request: { params: TenantParams },
  responses: listResponses(SchemaSummary, "SchemaList"),
});
const get = createRoute({
  ...common,
  method: "get",
  path,
  operationId: "getSchema",
  summary: "One schema with all its versions",
  request: { params: SchemaParams, headers: ReadHeaders },
  responses: readResponses(SchemaDocument),
});
const put = createRoute({
  ...common,
  method: "put",
  path,
  operationId: "putSchema",
  summary: "Makes a schema, adds versions to it or removes them, or changes what a new version must keep",
  request: { params: SchemaParams, query: WaitQuery, headers: WriteHeaders, body: jsonBody(SchemaBody) },
  responses: writeResponses(SchemaDocument),
});
const remove = createRoute({
  ...common,
  method: "delete",
  path,
  operationId: "deleteSchema",
  summary: "Removes a schema that no rule names",
  request: { params: SchemaParams, query: WaitQuery, headers: WriteHeaders },
  responses: removeResponses,
});
const check = createRoute({
  ...common,
  method: "post",
  path: `${path}/check`,
  operationId: "checkSchema",
  summary: "Whether a JSON Schema could be the next version; nothing is registered",
  request: { params: SchemaParams, body: jsonBody(SchemaCheckBody) },
  responses: { 200: jsonResponse(SchemaCheckReport, "What speaks against it"), default: problemResponse },
});
const getVersion = createRoute({
  ...common,
  method: "get",
  path: versionPath,
  operationId: "getSchemaVersion",
  summary: "One version of a schema; its ETag is that of the schema",
  request: { params: VersionParams, headers: ReadHeaders },
  responses: readResponses(SchemaVersion),
});
const putVersion = createRoute({
  ...common,
  method: "put",
  path: versionPath,
  operationId: "putSchemaVersion",
  summary: "Registers a new version; the schema is made where there is none",
  request: { params: VersionParams, query: WaitQuery, headers: WriteHeaders, body: jsonBody(VersionBody) },
  responses: writeResponses(SchemaVersion),
});
const removeVersion = createRoute({
  ...common,
  method: "delete",
  path: versionPath,
  operationId: "deleteSchemaVersion",
  summary: "Removes a version that no rule names; with the last one the schema goes",
  request: { params: VersionParams, query: WaitQuery, headers: WriteHeaders },
  responses: removeResponses,
});

export function addSchemas(app: Api, options: ApiOptions): void {
  app.openapi(
    list,
    (c) => {
      const items = listDocuments(options, "schema", c.req.valid("param").tenant);
      return c.json(
        { items: items.map(({ ref: _ref, value, ...item }) => ({ ...item, value: summaryOf(value) })) },
        200,
      );
    },
    refuseInvalid(list.request),
  );
  app.openapi(get, (c) => readDocument(c, options, refOf(c.req.valid("param"))), refuseInvalid(get.request));
  app.openapi(
    put,
    async (c) => {
      const ref = refOf(c.req.valid("param"));
      const body = c.req.valid("json");
      requireSame("name", ref.name, body.name);
      const value = { ...body, name: ref.name };
      return c.json(value, await writeDocument(c, options, ref, value));
    },
    refuseInvalid(put.request, "schema_invalid"),
  );
  app.openapi(
    remove,
    (c) => removeDocument(c, options, refOf(c.req.valid("param"))),
    refuseInvalid(remove.request),
  );
  app.openapi(
    check,
    (c) => {
      const ref = refOf(c.req.valid("param"));
      return c.json(checkNext(options, ref, c.req.valid("json").schema), 200);
    },
    refuseInvalid(check.request, "schema_invalid"),
  );
  addVersions(app, options);
}

function addVersions(app: Api, options: ApiOptions): void {
  app.openapi(
    getVersion,
    (c) => {
      const { version: number, ...of } = c.req.valid("param");
      const { document, version } = versionOf(options, refOf(of), Number(number));
      c.header("ETag", etag(document.revision));
      return isNotModified(c, document.revision) ? c.body(null, 304) : c.json(version, 200);
    },
    refuseInvalid(getVersion.request),
  );
  app.openapi(
    putVersion,
    async (c) => {
      const { version: number, ...of } = c.req.valid("param");
      const ref = refOf(of);
      const value = { ...c.req.valid("json"), version: Number(number) };
      const document = options.control.state.get(ref);
      const there = document?.value.versions.find(({ version }) => version === value.version);
      // The version is what is created or not; the write itself holds the whole schema to the revision that was read.
      expectedRevision(
        c,
        `version ${number} of schema '${ref.name}'`,
        there === undefined ? null : (document?.revision ?? null),
      );
      const others = document?.value.versions.filter(({ version }) => version !== value.version) ?? [];
      const versions = [...others, value].sort((left, right) => left.version - right.version);
      const next = { ...document?.value, name: ref.name, versions };
      const revision = await options.control.state.put(ref, next, document?.revision ?? null);
      c.header("ETag", etag(revision));
      await applyIfAsked(c, options);
      return c.json(value, there === undefined ? 201 : 200);
    },
    refuseInvalid(putVersion.request, "schema_invalid"),
  );
  app.openapi(
    removeVersion,
    async (c) => {
      const { version: number, ...of } = c.req.valid("param");
      const ref = refOf(of);
      const { document, version } = versionOf(options, ref, Number(number));
      expectedRevision(c, `version ${number} of schema '${ref.name}'`, document.revision);
      const versions = document.value.versions.filter((one) => one !== version);
      if (versions.length === 0) await options.control.state.remove(ref, document.revision);
      else await options.control.state.put(ref, { ...document.value, versions }, document.revision);
      c.header("ETag", undefined);
      await applyIfAsked(c, options);
      return c.body(null, 204);
    },
    refuseInvalid(removeVersion.request),
  );
}

type Ref = { readonly type: "schema"; readonly tenant: string; readonly name: string };

function refOf({ tenant, name }: { readonly tenant: string; readonly name: string }): Ref {
  return { type: "schema", tenant, name };
}

function versionOf({ control }: ApiOptions, ref: Ref, number: number) {
  const document = control.state.get(ref);
  const version = document?.value.versions.find((one) => one.version === number);
  if (document === null || version === undefined) {
    throw new LeafmeshError(
      "not_found",
      `There is no version ${number} of schema '${ref.name}' of tenant '${ref.tenant}'`,
    );
  }
  return { document, version };
}

function summaryOf({
  name,
  compatibility = "backward",
  versions,
}: SchemaDocument): z.output<typeof SchemaSummary> {
  return {
    name,
    compatibility,
    versions: versions.map(({ version, force }) => ({ version, ...(force === undefined ? {} : { force }) })),
  };
}

/** What the state would have against a schema as the next version. */
function checkNext(
  { control }: ApiOptions,
  ref: Ref,
  schema: JsonSchema,
): z.output<typeof SchemaCheckReport> {
  requireTenant(control, ref.tenant);
  const document = control.state.get(ref)?.value;
  const against = document?.versions.at(-1)?.version ?? null;
  const version = (against ?? 0) + 1;
  const next = {
    ...document,
    name: ref.name,
    versions: [...(document?.versions ?? []), { version, schema }],
  };
  const report = { version, against, compatibility: document?.compatibility ?? ("backward" as const) };
  try {
    control.state.check(ref, next);
    return { ...report, ok: true, code: null, problems: [] };
  } catch (thrown) {
    if (!(thrown instanceof LeafmeshError) || thrown.problems.length === 0) throw thrown;
    return {
      ...report,
      ok: false,
      code: thrown.code,
      problems: thrown.problems.map(({ path, message }) => ({ path, message })),
    };
  }
}
