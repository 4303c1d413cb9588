/** `schema list|show|add|check|remove`. */
import { stringify } from "yaml";
import type { DocumentList, SchemaCheck, SchemaSummary } from "../../../routes/answers.ts";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { Compatibility, type JsonSchema, type SchemaDocument } from "../../model/schema/contract.ts";
import { parseSchemaFile } from "../../model/schema_files.ts";
import { parseSchemaRef, SCHEMA_REF_FORM, schemaLabel } from "../../model/schema_ref.ts";
import { appliedText, checked, fileOfFlag } from "../check.ts";
import { argument, type Call, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { indent, table } from "../table.ts";

const FILE = { file: { value: "PATH", about: "the JSON Schema, as JSON", short: "f" } } as const;

export const SCHEMA_LIST: Command = {
  name: "schema list",
  args: ["<tenant>"],
  about: "the schemas that rules of a tenant can name",
  flags: {},
  run: async (call) => {
    const { items } = await (await call.api()).get<DocumentList<SchemaSummary>>(
      paths.schemas(argument(call, 0)),
    );
    const rows = items.map(({ value }) => [
      value.name,
      value.versions.map(({ version, force }) => `${version}${force === true ? " (forced)" : ""}`).join(", "),
      value.compatibility,
    ]);
    const text = rows.length === 0 ? "No schemas." : table(["SCHEMA", "VERSIONS", "COMPATIBILITY"], rows);
    return { json: items, text };
  },
};

export const SCHEMA_SHOW: Command = {
  name: "schema show",
  args: ["<tenant>", "<name[@n]>"],
  about: "a schema with its versions, or one version as JSON",
  flags: {},
  run: async (call) => {
    const { name, version } = refOf(call);
    const client = await call.api();
    if (version === null) {
      const document = await client.get<SchemaDocument>(paths.schema(argument(call, 0), name));
      return { json: document, text: stringify(document).trimEnd() };
    }
    const { schema } = await client.get<{ readonly schema: JsonSchema }>(
      paths.schemaVersion(argument(call, 0), name, version),
    );
    return { json: schema, text: JSON.stringify(schema, null, 2) };
  },
};

export const SCHEMA_ADD: Command = {
  name: "schema add",
  args: ["<tenant>", "<name[@n]>"],
  about: "registers a version of a schema, by default the next one",
  flags: {
    ...FILE,
    compatibility: {
      value: "MODE",
      about:
        "what new versions must keep: backward (default), forward, full or none; changes the schema's setting",
    },
    force: { about: "register it although it is not proved to be compatible" },
  },
  run: async (call) => {
    const tenant = argument(call, 0);
    const ref = refOf(call);
    const mode = call.flag("compatibility");
    const compatibility = mode === undefined ? undefined : checked(Compatibility, mode, "--compatibility");
    const schema = await schemaOf(call);
    const client = await call.api();
    const path = paths.schema(tenant, ref.name);
    const found = await client.find<SchemaDocument>(path);
    const before = found?.value.versions ?? [];
    const version = ref.version ?? (before.at(-1)?.version ?? 0) + 1;
    if (before.some((one) => one.version === version)) {
      const text = `There is schema ${schemaLabel(ref.name, version)} already: a version never changes, add the next one`;
      throw new LeafmeshError("conflict", text);
    }
    const document = {
      ...found?.value,
      name: ref.name,
      ...(compatibility === undefined ? {} : { compatibility }),
      versions: [...before, { version, schema, ...(call.has("force") ? { force: true as const } : {}) }],
    };
    const applied = await client.putAndWait(
      path,
      document,
      found === null ? "create" : { ifMatch: found.etag },
    );
    return {
      json: { tenant, name: ref.name, version, applied },
      text: `Schema ${schemaLabel(ref.name, version)} of ${tenant} is registered ${appliedText(applied)}.`,
    };
  },
};

export const SCHEMA_CHECK: Command = {
  name: "schema check",
  args: ["<tenant>", "<name>"],
  about: "whether a JSON Schema could be the next version",
  flags: FILE,
  run: async (call) => {
    const { name } = refOf(call);
    const schema = await schemaOf(call);
    const report = await (await call.api()).post<SchemaCheck>(paths.schemaCheck(argument(call, 0), name), {
      schema,
    });
    const label = schemaLabel(name, report.version);
    const beside =
      report.against === null
        ? "the first version"
        : `held against ${schemaLabel(name, report.against)}, ${report.compatibility}`;
    if (report.ok) return { json: report, text: `${label} can be registered (${beside}).` };
    const problems = report.problems.map(({ path, message }) => indent(`${path}: ${message}`));
    return {
      json: report,
      text: [`${label} cannot be registered (${beside}):`, ...problems].join("\n"),
      failed: report.code === "schema_incompatible" ? "schema_incompatible" : "schema_invalid",
    };
  },
};

export const SCHEMA_REMOVE: Command = {
  name: "schema remove",
  args: ["<tenant>", "<name[@n]>"],
  about: "removes a schema, or one version of it, that no rule names",
  flags: {},
  run: async (call) => {
    const tenant = argument(call, 0);
    const { name, version } = refOf(call);
    const client = await call.api();
    const path = version === null ? paths.schema(tenant, name) : paths.schemaVersion(tenant, name, version);
    const { etag } = await client.read(path);
    const applied = await client.removeAndWait(path, etag);
    const label = version === null ? name : schemaLabel(name, version);
    return {
      json: { tenant, name, version, removed: true, applied },
      text: `Schema ${label} of ${tenant} is removed ${appliedText(applied)}.`,
    };
  },
};

function refOf(call: Call) {
  const text = argument(call, 1);
  const ref = parseSchemaRef(text);
  if (ref !== null) return ref;
  throw new LeafmeshError("request_invalid", `'${text}' names no schema (expected ${SCHEMA_REF_FORM})`);
}

async function schemaOf(call: Call): Promise<JsonSchema> {
  const { path, text } = await fileOfFlag(call, "file");
  try {
    return parseSchemaFile(text);
  } catch (thrown) {
    throw new LeafmeshError("schema_invalid", `${path} is no JSON Schema: ${errorText(thrown)}`, {
      cause: thrown,
    });
  }
}
