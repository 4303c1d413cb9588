import { describe, expect, test } from "bun:test";
import { testApi } from "./api_support.ts";

const { app } = testApi();
const document = await (await app.request("/openapi.json")).json();

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security?: unknown;
  readonly parameters?: readonly { name: string; in: string }[];
  readonly responses: Record<string, unknown>;
}
const operations: [string, string, Operation][] = Object.entries<Record<string, Operation>>(
  document.paths,
).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]): [string, string, Operation] => [method, path, operation]),
);

function refsIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "$ref" && typeof inner === "string" ? [inner] : refsIn(inner),
  );
}

describe("/openapi.json", () => {
  test("is an OpenAPI 3.1 document of this version", () => {
    expect(document).toMatchObject({ openapi: "3.1.0", info: { title: "Leafmesh", version: "0.1.0" } });
  });

  test("resolves every reference, and uses every schema", () => {
    const refs = new Set(refsIn(document));
    for (const ref of refs) {
      const target = ref
        .replace(/^#\//, "")
        .split("/")
        .reduce((value: unknown, key) => Object(value)[key], document);
      expect([ref, typeof target]).toEqual([ref, "object"]);
    }
    const unused = Object.keys(document.components.schemas).filter(
      (name) => !refs.has(`#/components/schemas/${name}`),
    );
    expect(unused).toEqual([]);
  });

  test("lists every route of the app, and no other", () => {
    const routes = app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
    const listed = operations.map(([method, path]) => `${method.toUpperCase()} ${path}`);
    expect([...new Set(routes)].sort()).toEqual(listed.sort());
  });

  test("has for each operation an id of its own, a summary and its path parameters", () => {
    const ids = operations.map(([, , { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, path, operation] of operations) {
      expect(operation.summary.length).toBeGreaterThan(3);
      const inPath = (operation.parameters ?? []).filter((one) => one.in === "path").map(({ name }) => name);
      expect(inPath).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? ""));
    }
  });

  test("says of each operation under /v1 that it wants the token and how it fails", () => {
    for (const [, path, operation] of operations.filter(([, path]) => path.startsWith("/v1/"))) {
      expect([path, operation.security]).toEqual([path, [{ bearer: [] }]]);
      expect(Object.keys(operation.responses)).toContain("default");
    }
    expect(document.components.securitySchemes.bearer.scheme).toBe("bearer");
  });

  test("shares the schemas of the site file", () => {
    for (const name of [
      "ExportPolicy",
      "Rule",
      "Redaction",
      "ImportPolicy",
      "PeerDocument",
      "TenantUser",
      "Problem",
    ]) {
      expect(Object.keys(document.components.schemas)).toContain(name);
    }
  });
});

describe("/", () => {
  test("lists every operation and schema, and fetches nothing from elsewhere", async () => {
    const response = await app.request("/");
    const page = await response.text();
    expect(response.headers.get("content-security-policy")).toStartWith(
      "default-src 'none'; style-src 'sha256-",
    );
    for (const [method, path] of operations) {
      expect(page).toContain(`<b>${method.toUpperCase()}</b> <code>${path}</code>`);
    }
    for (const name of Object.keys(document.components.schemas))
      expect(page).toContain(`id="schema-${name}"`);
    expect(page).not.toMatch(/<script|<link|src=|https?:\/\//);
    for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) expect(page).toContain(`id="${target}"`);
  });
});
