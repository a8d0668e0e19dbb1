/**
 * The GraphQL of a W&B server, as far as its clients ask.
 *
 * A client asks for fields by name; more than it asks for does not hurt it. So each operation has one answer, with all
 * that any client reads. What is not known is answered with nothing, which real clients bear, and written down.
 */
import { isRecord, type Run, type Store } from "./store.ts"

export interface Answer {
  readonly status: number
  readonly body: unknown
}

export interface Api {
  readonly store: Store
  /** What was asked for: names of operations, and those that have no answer here. */
  readonly asked: Map<string, number>
  readonly unknown: Set<string>
  readonly answer: (body: unknown) => Answer
}

export interface Options {
  readonly store: Store
  readonly entity: string
  /** Where to put a file: what the client PUTs there arrives in `sink`. */
  readonly uploadUrl: (sink: (content: Buffer) => void) => string
  readonly uploadHeaders: ReadonlyArray<string>
}

type Variables = Record<string, unknown>

export const make = (options: Options): Api => {
  const { entity: defaultEntity, store, uploadHeaders, uploadUrl } = options
  const asked = new Map<string, number>()
  const unknown = new Set<string>()

  const find = (variables: Variables, name: string): Run | undefined =>
    store.run(
      text(variables, "entity") ?? text(variables, "entityName") ?? defaultEntity,
      text(variables, "project") ?? text(variables, "projectName") ?? "uncategorized",
      text(variables, name) ?? ""
    )

  const file = (run: Run, path: string) => ({
    name: path,
    id: path,
    uploadUrl: uploadUrl((content) => run.files.set(path, content))
  })

  const operations: { readonly [operation: string]: (variables: Variables) => unknown } = {
    Viewer: () => ({
      viewer: {
        id: "VXNlcjox",
        admin: false,
        entity: defaultEntity,
        username: defaultEntity,
        email: "someone@example.com",
        name: "Someone",
        flags: "{}",
        apiKeys: { edges: [] },
        teams: { edges: [{ node: { name: defaultEntity } }] }
      }
    }),
    ServerInfo: () => ({
      serverInfo: {
        cliVersionInfo: { max_cli_version: "99.0.0" },
        latestLocalVersionInfo: null,
        features: [],
        exposesExplicitRelativePath: false
      }
    }),
    ServerFeaturesQuery: () => ({ serverInfo: { features: [] } }),

    UpsertBucket: (variables) => {
      const name = text(variables, "name") ?? `run${store.runs.size + 1}`
      const entity = text(variables, "entity") ?? defaultEntity
      const project = text(variables, "project") ?? "uncategorized"
      const found = store.run(entity, project, name)
      const run = found ?? store.createRun(entity, project, name)
      run.upserts++
      run.displayName = text(variables, "displayName") ?? run.displayName
      run.group = text(variables, "groupName") ?? run.group
      run.jobType = text(variables, "jobType") ?? run.jobType
      run.notes = text(variables, "notes") ?? run.notes
      run.host = text(variables, "host") ?? run.host
      run.program = text(variables, "program") ?? run.program
      run.commit = text(variables, "commit") ?? run.commit
      run.repo = text(variables, "repo") ?? run.repo
      if (Array.isArray(variables["tags"])) run.tags = variables["tags"].map(String)
      run.config = parsed(text(variables, "config")) ?? run.config
      run.summary = parsed(text(variables, "summaryMetrics")) ?? run.summary
      // A run that is opened again goes on.
      run.complete = false
      run.exitCode = undefined
      return { upsertBucket: { bucket: bucket(run), inserted: found === undefined } }
    },

    // Asks for a run that may not exist yet.
    RunResumeStatus: (variables) => {
      const run = find(variables, "name")
      return {
        model: run === undefined ? null : {
          ...projectOf(run),
          bucket: {
            ...bucket(run),
            logLineCount: run.output.length,
            historyLineCount: run.history.length,
            eventsLineCount: run.events.length,
            historyTail: JSON.stringify(run.history.slice(-1)),
            eventsTail: JSON.stringify(run.events.slice(-1)),
            tags: run.tags,
            wandbConfig: JSON.stringify({ t: 1 })
          }
        }
      }
    },

    CreateRunFiles: (variables) => {
      const run = find(variables, "run")
      const paths = Array.isArray(variables["files"]) ? variables["files"].map(String) : []
      if (run === undefined) throw new Error("run not found")
      return { createRunFiles: { runID: run.id, uploadHeaders, files: paths.map((path) => file(run, path)) } }
    },
    MarkRunFilesUploaded: (variables) => {
      const run = find(variables, "run")
      if (run !== undefined && Array.isArray(variables["files"])) {
        for (const path of variables["files"]) run.uploaded.add(String(path))
      }
      return { markRunFilesUploaded: { success: true } }
    },

    CreateArtifact: ({ input }) => {
      if (!isRecord(input)) throw new Error("no input")
      const names = Array.isArray(input["artifactCollectionNames"]) ? input["artifactCollectionNames"] : []
      const id = `artifact-${store.artifacts.size + 1}`
      store.artifacts.set(id, {
        id,
        type: text(input, "artifactTypeName") ?? "",
        name: String(names[0] ?? text(input, "artifactCollectionName") ?? ""),
        digest: text(input, "digest") ?? "",
        run: text(input, "runName"),
        files: new Map(),
        committed: false
      })
      return {
        createArtifact: {
          artifact: {
            id,
            digest: text(input, "digest"),
            state: "PENDING",
            artifactSequence: { id: `sequence-${id}`, latestArtifact: null }
          }
        }
      }
    },
    CreateArtifactManifest: ({ artifactID, name }) => ({
      createArtifactManifest: {
        artifactManifest: {
          id: `manifest-${String(artifactID)}`,
          file: { ...artifactFile(String(artifactID), String(name)), displayName: name }
        }
      }
    }),
    UpdateArtifactManifest: ({ artifactManifestID }) => ({
      updateArtifactManifest: {
        artifactManifest: {
          id: artifactManifestID,
          file: artifactFile(String(artifactManifestID).replace("manifest-", ""), "wandb_manifest.json")
        }
      }
    }),
    CreateArtifactFiles: ({ input }) => {
      const specs = isRecord(input) && Array.isArray(input["artifactFiles"]) ? input["artifactFiles"] : []
      return {
        createArtifactFiles: {
          files: {
            edges: specs.filter(isRecord).map((spec) => ({
              node: {
                ...artifactFile(text(spec, "artifactID") ?? "", text(spec, "name") ?? ""),
                name: spec["name"],
                displayName: spec["name"],
                storagePath: spec["name"],
                uploadMultipartUrls: null,
                artifact: { id: spec["artifactID"] }
              }
            }))
          }
        }
      }
    },
    CommitArtifact: ({ artifactID }) => {
      const artifact = store.artifacts.get(String(artifactID))
      if (artifact !== undefined) artifact.committed = true
      return { commitArtifact: { artifact: { id: artifactID, digest: artifact?.digest } } }
    },
    // Of what type an artifact of that name is, if there is one.
    ArtifactType: () => ({ project: null }),
    OrganizationCoreWeaveOrganizationID: () => ({ entity: null }),
    UseArtifact: ({ input }) => ({
      useArtifact: { artifact: { id: isRecord(input) ? input["artifactID"] : null, digest: "", description: null } }
    }),

    RunStoppedStatus: () => ({ project: { run: { stopped: false } } }),
    NotifyScriptableRunAlert: () => ({ notifyScriptableRunAlert: { success: true } })
  }

  const artifactFile = (artifactId: string, name: string) => ({
    id: `${artifactId}/${name}`,
    uploadUrl: uploadUrl((content) => store.artifacts.get(artifactId)?.files.set(name, content)),
    uploadHeaders
  })

  return {
    store,
    asked,
    unknown,
    answer: (body) => {
      const query = isRecord(body) ? text(body, "query") : undefined
      if (!isRecord(body) || query === undefined) return { status: 400, body: errors("no query") }
      const name = text(body, "operationName") ?? /\b(?:query|mutation)\s+(\w+)/.exec(query)?.[1] ?? "anonymous"
      asked.set(name, (asked.get(name) ?? 0) + 1)
      const operation = operations[name]
      if (operation === undefined) {
        unknown.add(name)
        return { status: 200, body: { data: {} } }
      }
      try {
        return { status: 200, body: { data: operation(isRecord(body["variables"]) ? body["variables"] : {}) } }
      } catch (error) {
        return { status: 200, body: errors(error instanceof Error ? error.message : String(error)) }
      }
    }
  }
}

const errors = (message: string) => ({ data: null, errors: [{ message }] })

const projectOf = (run: Run) => ({
  id: Buffer.from(`Project:v1:${run.project}:${run.entity}`).toString("base64"),
  name: run.project,
  entity: { id: run.entity, name: run.entity }
})

const bucket = (run: Run) => ({
  id: run.id,
  name: run.name,
  displayName: run.displayName,
  description: null,
  notes: run.notes ?? null,
  config: JSON.stringify(run.config),
  summaryMetrics: JSON.stringify(run.summary),
  sweepName: null,
  groupName: run.group ?? null,
  jobType: run.jobType ?? null,
  historyLineCount: run.history.length,
  createdAt: "2026-01-01T00:00:00",
  heartbeatAt: "2026-01-01T00:00:00",
  project: projectOf(run)
})

const text = (record: Record<string, unknown>, name: string): string | undefined => {
  const value = record[name]
  return typeof value === "string" && value !== "" ? value : undefined
}

const parsed = (json: string | undefined): Record<string, unknown> | undefined => {
  if (json === undefined) return undefined
  const value: unknown = JSON.parse(json)
  return isRecord(value) ? value : undefined
}
