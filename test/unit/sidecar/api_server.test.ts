import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCa, issueApi } from "../../../src/nats/pki/certificates.ts";
import { apiAddress, loadApiTls } from "../../../src/sidecar/api_server.ts";
import { tempFolder } from "../../support/temp_folder.ts";

describe("apiAddress()", () => {
  test.each(["127.0.0.1:7480", "127.1.2.3:0", "localhost:7480", "[::1]:7480"])(
    "takes %s in clear",
    (listen) => {
      expect(() => apiAddress({ listen }, false)).not.toThrow();
    },
  );

  test.each([
    "0.0.0.0:7480",
    "[::]:7480",
    "10.0.0.1:7480",
    "api.example.net:7480",
    "127.0.0.1.example.net:7480",
  ])("takes %s by TLS or where it is asked for alone", (listen) => {
    expect(() => apiAddress({ listen }, false)).toThrow("--insecure-api");
    expect(apiAddress({ listen }, true).knowsHost).toBeUndefined();
    expect(() => apiAddress({ listen, tls: "self" }, false)).not.toThrow();
  });

  test("on loopback knows this machine's names and those of api.hosts, and no other", () => {
    const { knowsHost } = apiAddress({ hosts: ["api.example.net"] }, false);
    const known = ["localhost", "127.0.0.1", "[::1]", "api.example.net"];
    const others = [
      "evil.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "",
      "0.0.0.0",
      "10.0.0.1",
    ];
    expect([...known, ...others].filter((host) => knowsHost?.(host))).toEqual(known);
  });
});

describe("loadApiTls()", () => {
  test("issues a certificate of the site's own CA, or reads one whose key is its owner's alone", async () => {
    await using temp = await tempFolder();
    const folders = { dataFolder: temp.path, base: temp.path };
    await mkdir(join(temp.path, "keys"), { mode: 0o700 });
    expect(await loadApiTls({ site: "berlin" }, folders)).toBeNull();
    const self = await loadApiTls({ site: "berlin", api: { tls: "self" } }, folders);
    expect(self?.cert).toContain("BEGIN CERTIFICATE");

    const validity = { now: new Date(), ttlMs: 3_600_000 };
    const names = { site: "berlin", hosts: ["127.0.0.1"] };
    const { certPem, keyPem } = await issueApi(await createCa("berlin", validity), names, validity);
    const file = { site: "berlin", api: { tls: { cert: "cert.pem", key: "key.pem" } } };
    await expect(loadApiTls(file, folders)).rejects.toMatchObject({ code: "config_invalid" });
    await writeFile(join(temp.path, "cert.pem"), certPem);
    await expect(loadApiTls(file, folders)).rejects.toMatchObject({ code: "config_invalid" });
    await writeFile(join(temp.path, "key.pem"), keyPem, { mode: 0o644 });
    await expect(loadApiTls(file, folders)).rejects.toMatchObject({ code: "key_invalid" });
    await writeFile(join(temp.path, "key2.pem"), keyPem, { mode: 0o600 });
    const good = { site: "berlin", api: { tls: { cert: "cert.pem", key: "key2.pem" } } };
    expect(await loadApiTls(good, folders)).toEqual({ cert: certPem, key: keyPem });
  });
});
