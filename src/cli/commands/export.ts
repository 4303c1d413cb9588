/** `export list|show|put|remove`. */
import { stringify } from "yaml";
import type { DocumentList } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { type ExportPolicy, NamedElsewhereExport } from "../../model/schema/policy.ts";
import { parseLocated } from "../../model/site_file.ts";
import { exportDocument, writeDocuments } from "../apply_file.ts";
import { appliedText, fileOfFlag } from "../check.ts";
import { argument, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { count, table } from "../table.ts";

export const EXPORT_LIST: Command = {
  name: "export list",
  args: ["<tenant>"],
  about: "what a tenant lets its peers have",
  flags: {},
  run: async (call) => {
    const { items } = await (await call.api()).get<DocumentList<ExportPolicy>>(
      paths.exports(argument(call, 0)),
    );
    const rows = items.map(({ value }) => [
      value.name,
      value.to.join(" "),
      value.origin ?? "-",
      count(value.rules.length, "rule"),
      value.rules.flatMap(({ subjects }) => subjects).join(" "),
    ]);
    const text =
      rows.length === 0 ? "No exports." : table(["EXPORT", "TO", "ORIGIN", "RULES", "SUBJECTS"], rows);
    return { json: items, text };
  },
};

export const EXPORT_SHOW: Command = {
  name: "export show",
  args: ["<tenant>", "<name>"],
  about: "one export policy, as 'leafmesh export put -f' takes it",
  flags: {},
  run: async (call) => {
    const path = paths.export(argument(call, 0), argument(call, 1));
    const policy = await (await call.api()).get<ExportPolicy>(path);
    return { json: policy, text: stringify(policy).trimEnd() };
  },
};

export const EXPORT_PUT: Command = {
  name: "export put",
  args: ["<tenant>", "[name]"],
  about: "makes or changes an export policy from a file",
  flags: { file: { value: "PATH", about: "the policy (YAML or JSON)", short: "f" } },
  run: async (call) => {
    const tenant = argument(call, 0);
    const { path, text } = await fileOfFlag(call, "file");
    const read = parseLocated(NamedElsewhereExport, text, path).value;
    const name = call.args[1] ?? read.name;
    if (name === undefined)
      throw new LeafmeshError("request_invalid", `${path} has no 'name': give it as an argument`);
    const document = exportDocument(tenant, { ...read, name });
    const [change] = await writeDocuments(await call.api(), [document]);
    const done = change?.done ?? "unchanged";
    return {
      json: { tenant, name, done },
      text: `Export ${tenant}/${name} is ${done}; the sidecar applies it within seconds.`,
    };
  },
};

export const EXPORT_REMOVE: Command = {
  name: "export remove",
  args: ["<tenant>", "<name>"],
  about: "removes an export policy: its events stay here from now on",
  flags: {},
  run: async (call) => {
    const [tenant, name] = [argument(call, 0), argument(call, 1)];
    const client = await call.api();
    const path = paths.export(tenant, name);
    const { etag } = await client.read(path);
    const applied = await client.removeAndWait(path, etag);
    return {
      json: { tenant, name, removed: true, applied },
      text: `Export ${tenant}/${name} is removed ${appliedText(applied)}.`,
    };
  },
};
