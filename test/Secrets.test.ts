import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Secrets from "../src/Secrets.ts"

const credentials = [
  "api_key",
  "apiKey",
  "API_KEY",
  "APIKEY",
  "WANDB_API_KEY",
  "MLFLOW_TRACKING_TOKEN",
  "MLFLOW_TRACKING_PASSWORD",
  "AMSC_API_KEY",
  "AM_SC_API_KEY",
  "AWS_SECRET_ACCESS_KEY",
  "access_key_id",
  "OpenAIKey",
  "token",
  "hf_token",
  "HF_TOKEN",
  "--hub-token",
  "access_tokens",
  "auth_token_2",
  "wandb/token",
  "secret",
  "clientSecret",
  "PMI_SHARED_SECRET",
  "password",
  "PGPASSWORD",
  "db_passwd",
  "db_pass",
  "MYSQL_PWD",
  "credentials",
  "private-key",
  "ssh_key",
  "Authorization",
  "auth",
  "_auth",
  "Set-Cookie",
  "PBS_JOBCOOKIE",
  "SLURM_JWT",
  "connection_string",
  "AZURE_STORAGE_CONNECTION_STRING",
  "sentry_dsn",
  "GITHUB_PAT",
  "pat",
  "PAT",
  "github.pat",
  "personal_access_token"
]

const harmless = [
  "tokens_per_second",
  "max_tokens",
  "num_tokens",
  "maxTokens",
  "tokenizer",
  "tokenizer_name",
  "TOKENIZERS_PARALLELISM",
  "pad_token",
  "eos_token_id",
  "eosTokenId",
  "time_per_token",
  "token_dropout",
  "token_embedding_dim",
  "secretary",
  "keyboard",
  "key",
  "keys",
  "primary_key",
  "public_key",
  "query_key_norm",
  "monkey",
  "author",
  "auth_type",
  "forward_pass",
  "passes",
  "bypass",
  "PATH",
  "PWD",
  "OLDPWD",
  "path",
  "pattern",
  "patience",
  "file_pat",
  "pat_mat",
  "password_file",
  "HF_TOKEN_PATH",
  "token_url",
  "min_password_length",
  "cookiecutter",
  "lr",
  ""
]

describe("Secrets", () => {
  it("knows the keys of credentials, as whole words", () => {
    assert.deepStrictEqual(credentials.filter((key) => !Secrets.isCredential(key)), [])
    assert.deepStrictEqual(harmless.filter(Secrets.isCredential), [])
  })

  it("masks what stands under such a key, numbers and whole objects too, and keeps what is no secret", () => {
    assert.deepStrictEqual(
      Secrets.mask({
        lr: 1e-4,
        model: { max_tokens: 2048, tokenizer: "gpt2", pad_token: "<pad>" },
        wandb: { api_key: "abc", use_auth_token: true, token: null, password: "" },
        pins: [{ secret: 1234 }, { credentials: { user: "me", password: "x" } }],
        env: [{ name: "API_KEY", value: "abc" }, { name: "lr", value: "abc" }]
      }),
      {
        lr: 1e-4,
        model: { max_tokens: 2048, tokenizer: "gpt2", pad_token: "<pad>" },
        wandb: { api_key: "***", use_auth_token: true, token: null, password: "" },
        pins: [{ secret: "***" }, { credentials: "***" }],
        env: [{ name: "API_KEY", value: "***" }, { name: "lr", value: "abc" }]
      }
    )
  })

  it("copies deeply what JSON has no word for, and ends on cycles, deep nesting and shared objects", () => {
    const cycle: Record<string, unknown> = { lr: 1 }
    cycle["self"] = cycle
    cycle["list"] = [cycle]
    assert.deepStrictEqual(Secrets.mask(cycle), { lr: 1, self: "[circular]", list: ["[circular]"] })

    assert.deepStrictEqual(
      Secrets.mask({
        at: new Date(0),
        map: new Map([["token", "x"]]),
        set: new Set([1]),
        array: new Float32Array([0.5, 2]),
        big: 12345678901234567890n,
        f: Math.max
      }),
      {
        at: "1970-01-01T00:00:00.000Z",
        map: { token: "***" },
        set: [1],
        array: [0.5, 2],
        big: "12345678901234567890",
        f: "[function max]"
      }
    )

    let deep: unknown = "bottom"
    for (let i = 0; i < 100_000; i++) deep = { deep }
    assert.match(JSON.stringify(Secrets.mask(deep)), /nested too deep/)

    let shared: unknown = { password: "hunter2" }
    for (let i = 0; i < 60; i++) shared = [shared, shared]
    assert.isArray(Secrets.mask(shared))

    const proto = Secrets.mask(JSON.parse(`{"__proto__":{"password":"x"}}`))
    assert.strictEqual(JSON.stringify(proto), `{"__proto__":{"password":"***"}}`)
  })

  it("masks credentials where they stand in a text", () => {
    const cases: ReadonlyArray<readonly [string, string]> = [
      ["https://user:pass@host/path", "https://user:***@host/path"],
      ["postgresql://me:p@ss:w@db:5432/x?a=b", "postgresql://me:***@db:5432/x?a=b"],
      ["postgres://me:pa/ss@db/x", "postgres://me:***@db/x"],
      ["https://ghtoken@github.com/a/b", "https://***@github.com/a/b"],
      ["https://tok:x-oauth-basic@github.com", "https://***:***@github.com"],
      ["redis://:pw@host", "redis://:***@host"],
      ["Bearer xyz", "Bearer ***"],
      ["Authorization: Basic dXNlcjpwYXNz", "Authorization: ***"],
      [`{"Authorization": "Bearer abc", "lr": 1}`, `{"Authorization": "***", "lr": 1}`],
      ["curl -H 'X-API-Key: abc' http://h", "curl -H 'X-API-Key: ***' http://h"],
      ["https://h/x?api_key=abc&step=3", "https://h/x?api_key=***&step=3"],
      ["https://h/x?sv=1&sig=abc%3D", "https://h/x?sv=1&sig=***"],
      ["Server=h;User=me;Password=abc;", "Server=h;User=me;Password=***;"],
      ["AccountName=a;AccountKey=abc==;B=1", "AccountName=a;AccountKey=***;B=1"],
      [`{"api_key": "a\\"b", "token": 12, "lr": 1}`, `{"api_key": "***", "token": "***", "lr": 1}`],
      ["{'hf_token': 'abc'}", "{'hf_token': '***'}"],
      ["lr: 1\n  db_password: hunter2\ntoken: abc", "lr: 1\n  db_password: ***\ntoken: ***"],
      ["use sk-abcdefghijklmnop1234 now", "use *** now"],
      [`ghp_${"a1".repeat(18)}, hf_${"aB".repeat(17)}, AKIAABCDEFGHIJKLMNOP`, "***, ***, ***"],
      ["https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/services/***"],
      ["-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----!", "***!"]
    ]
    for (const [text, expected] of cases) assert.strictEqual(Secrets.maskText(text), expected)
  })

  it("leaves texts alone that hold no credentials", () => {
    const texts = [
      "https://host:8080/@scope/pkg",
      "http://[::1]:8080/x@y",
      "ssh://git@github.com/a/b.git",
      "me@example.org",
      "Unexpected token: }, expected tokens = 12",
      "Bearer token was refused: 403",
      "loss=0.5 tokens_per_second=123 tokenizer=gpt2",
      "https://h/x?page_token_count=3&key=loss",
      "commit 0123456789abcdef0123456789abcdef01234567",
      "if auth_type == 'basic'",
      "sk-learn-pipeline-with-a-long-name",
      `{"cookie": false, "max_tokens": 5}`,
      "password="
    ]
    for (const text of texts) assert.strictEqual(Secrets.maskText(text), text)
  })

  it("masks command lines", () => {
    assert.deepStrictEqual(
      Secrets.maskArguments(
        [
          ...["train.py", "--api-key", "abc", "--token=abc", "WANDB_API_KEY=a b=c", "--use-auth-token", "true"],
          ...["--password", "--lr", "1e-3", "--max-tokens", "100", "--tokenizer=gpt2", "+wandb.api_key=abc"],
          ...[
            "--uri",
            "http://u:p@h",
            "{\"api_key\": \"abc\"}",
            "--no-password",
            "run",
            "-k",
            "abcdef",
            "--token-file",
            "f"
          ]
        ],
        { SOME_TOKEN: "abcdef" }
      ),
      [
        ...["train.py", "--api-key", "***", "--token=***", "WANDB_API_KEY=***", "--use-auth-token", "true"],
        ...["--password", "--lr", "1e-3", "--max-tokens", "100", "--tokenizer=gpt2", "+wandb.api_key=***"],
        ...[
          "--uri",
          "http://u:***@h",
          "{\"api_key\": \"***\"}",
          "--no-password",
          "run",
          "-k",
          "***",
          "--token-file",
          "f"
        ]
      ]
    )
  })

  it("finds the values of the environment's credentials, the longest first, in texts and in configs", () => {
    const environment = {
      WANDB_API_KEY: "abcdef",
      MLFLOW_TRACKING_TOKEN: "abcdef-and-more",
      MLFLOW_TRACKING_URI: "https://me:s3cret-word@host",
      MY_PASSWORD: "with space/$&",
      SHORT_TOKEN: "12345",
      HOME: "/home/me",
      PWD: "/home/me/project",
      FLAG_TOKEN: "false ",
      GONE: undefined
    }
    const text = "abcdef abcdef-and-more s3cret-word with space/$& with%20space%2F%24%26 12345 /home/me/project false"
    assert.strictEqual(Secrets.maskText(text, environment), "*** *** *** *** *** 12345 /home/me/project false")
    assert.deepStrictEqual(Secrets.mask({ note: "key abcdef" }, environment), { note: "key ***" })
  })

  it("never lets a value through that the environment calls a credential", () => {
    const value = fc.string({ minLength: 6 }).filter((text) => text.trim().length >= 6 && !text.includes("*"))
    fc.assert(fc.property(value, fc.string(), fc.string(), (secret, before, after) => {
      const result = Secrets.maskText(`${before} ${secret} ${after}`, { X_TOKEN: secret })
      // A short text that is all over the place may be put together anew from what is around the mask.
      assert.isFalse(result.includes(secret.trim()))
    }))
  })

  it("never lets a value through that stands under the key of a credential, at any depth", () => {
    const secret = "S".repeat(40)
    const config = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.string(),
        fc.double(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie("value"), { maxKeys: 3 }),
        fc.tuple(fc.constantFrom(...credentials), fc.constantFrom(secret, [secret], { a: secret }, 5e40)).map(
          ([key, held]) => ({ [key]: held })
        )
      )
    })).value
    fc.assert(fc.property(config, (value) => {
      const result = JSON.stringify(Secrets.mask(value))
      assert.isFalse(result?.includes(secret) ?? false)
    }))
  })

  it("changes nothing where there is nothing to mask, and nothing the second time", () => {
    const word = fc.constantFrom(
      "loss",
      "max_tokens",
      "https://host/a",
      "tokens",
      "lr",
      "gpt2",
      "a b c",
      "1e-4",
      "<pad>"
    )
    const config = fc.dictionary(
      fc.constantFrom(...harmless),
      fc.oneof(word, fc.double({ noNaN: true }), fc.array(word))
    )
    fc.assert(fc.property(config, (value) => assert.deepStrictEqual(Secrets.mask(value), { ...value })))
    // Quotes that do not match are read anew once something between them is gone.
    const unquoted = fc.string().map((text) => text.replaceAll(/["']/g, ""))
    fc.assert(fc.property(unquoted, (text) => {
      const once = Secrets.maskText(`${text} password=${text} http://a:b${text}@c`)
      assert.strictEqual(Secrets.maskText(once), once)
    }))
  })

  it("takes time in proportion to a text's length", () => {
    for (
      const part of [
        "a",
        "://",
        "://a:b",
        "x=",
        "Bearer ",
        "\"a\":",
        "A",
        "a-",
        "cookie:",
        "-----BEGIN PRIVATE KEY-----"
      ]
    ) {
      const text = part.repeat(Math.ceil(50_000 / part.length))
      assert.isAtMost(Secrets.maskText(text).length, text.length * 2)
    }
    assert.isFalse(Secrets.isCredential("A".repeat(1_000_000)))
  })
})
