/** `tenant list|show|add|remove`. */
import { stringify } from "yaml";
import type { DocumentList, SchemaSummary, SiteReport } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import type { SchemaDocument } from "../../model/schema/contract.ts";
import type { ExportPolicy, ImportPolicy } from "../../model/schema/policy.ts";
import { Name } from "../../model/schema/scalars.ts";
import type { TenantDocument, TenantSettings } from "../../model/schema/tenant.ts";
import { DEFAULT_ROLE } from "../../model/schema/user.ts";
import { appliedText, checked } from "../check.ts";
import { argument, type Command } from "../command.ts";
import { connectText, SETTINGS_FLAGS, withSettings } from "../connect_text.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";
import { KEY_FLAGS, PASSWORD_FLAGS, told, withCredential } from "../user_credential.ts";

type Listed = TenantSettings & { readonly tenant: string };

export const TENANT_LIST: Command = {
  name: "tenant list",
  args: [],
  about: "all tenants",
  flags: {},
  run: async ({ api }) => {
    const { items } = await (await api()).get<DocumentList<Listed>>(paths.tenants);
    const rows = items.map(({ revision, value }) => [
      value.tenant,
      (value.users ?? []).map(({ name }) => name).join(" ") || "-",
      value.limits?.storage ?? "2GiB",
      value.limits?.maxAge ?? "7d",
      value.log === false ? "off" : "on",
      String(revision),
    ]);
    const none = "No tenants yet: 'leafmesh tenant add <name>' makes one.";
    const text =
      rows.length === 0 ? none : table(["TENANT", "USERS", "STORAGE", "MAX AGE", "LOG", "REVISION"], rows);
    return { json: items, text };
  },
};

export const TENANT_SHOW: Command = {
  name: "tenant show",
  args: ["<tenant>"],
  about: "a tenant's whole document, as 'leafmesh apply -f' takes it",
  flags: {},
  run: async (call) => {
    const tenant = argument(call, 0);
    const client = await call.api();
    const settings = await client.get<Listed>(paths.tenant(tenant));
    const exports = await client.get<DocumentList<ExportPolicy>>(paths.exports(tenant));
    const imports = await client.get<DocumentList<ImportPolicy>>(paths.imports(tenant));
    const schemas = await client.get<DocumentList<SchemaSummary>>(paths.schemas(tenant));
    const registered = await Promise.all(
      schemas.items.map(({ value }) => client.get<SchemaDocument>(paths.schema(tenant, value.name))),
    );
    const document: TenantDocument = {
      ...settings,
      ...(registered.length === 0 ? {} : { schemas: registered }),
      ...(exports.items.length === 0 ? {} : { exports: exports.items.map(({ value }) => value) }),
      ...(imports.items.length === 0 ? {} : { imports: imports.items.map(({ value }) => value) }),
    };
    return { json: document, text: stringify(document).trimEnd() };
  },
};

export const TENANT_ADD: Command = {
  name: "tenant add",
  args: ["<tenant>"],
  about: "makes a tenant with one user, whose key is made here",
  flags: {
    user: { value: "NAME", about: "name of the user (default app)" },
    ...PASSWORD_FLAGS,
    ...KEY_FLAGS,
    ...SETTINGS_FLAGS,
  },
  run: async (call) => {
    const tenant = checked(Name, argument(call, 0), "<tenant>");
    const user = checked(Name, call.flag("user") ?? "app", "--user");
    const client = await call.api();
    return await withCredential(call, tenant, user, async (half, secret) => {
      const settings: TenantSettings = { users: [{ name: user, ...half }] };
      const path = paths.tenant(tenant);
      if ((await client.find(path)) !== null) {
        throw new LeafmeshError(
          "conflict",
          `There is tenant '${tenant}' already: add a user with 'leafmesh tenant user add ${tenant} ${user}'`,
        );
      }
      const site = await client.get<SiteReport>(paths.site);
      const who = { tenant, name: user, role: DEFAULT_ROLE, log: false, mqtt: false, secret };
      return await withSettings(call, site, who, async (files) => {
        const applied = await client.putAndWait(path, settings, "create");
        const has = secret.type === "nkey" ? `has the key ${secret.publicKey}` : "has a password";
        return {
          json: { tenant, user, ...told(secret), applied },
          text: `Tenant ${tenant} is made ${appliedText(applied)}. Its user ${user} ${has}.\n${connectText(site, who, files)}`,
        };
      });
    });
  },
};

export const TENANT_REMOVE: Command = {
  name: "tenant remove",
  args: ["<tenant>"],
  about: "removes a tenant with its exports and imports",
  flags: {},
  run: async (call) => {
    const tenant = argument(call, 0);
    const client = await call.api();
    const { etag } = await client.read(paths.tenant(tenant));
    const applied = await client.removeAndWait(paths.tenant(tenant), etag);
    return {
      json: { tenant, removed: true, applied },
      text: `Tenant ${tenant} is removed ${appliedText(applied)}.`,
    };
  },
};
