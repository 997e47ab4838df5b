//! The migrations of the database.

use std::cmp::Ordering;

use tokio_postgres::Client;

use super::OpenError;

/// The migrations in their order; the number of a file is its place here, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_tables.sql"),
    include_str!("migrations/0002_append.sql"),
    include_str!("migrations/0003_batch.sql"),
    include_str!("migrations/0004_upkeep.sql"),
    include_str!("migrations/0005_sanctions.sql"),
];

/// Held while somebody migrates: nodes that start together do it once. "parl" in ASCII.
const ADVISORY_LOCK: i64 = 0x7061_726c;

/// Brings the schema up to date, all or nothing.
pub(super) async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as i32;
    match version(client).await? {
        Some(found) if found == known => return Ok(()),
        Some(found) if found > known => return Err(OpenError::NewerSchema { found, known }),
        _ => {}
    }
    let transaction = client.transaction().await?;
    // Somebody else may be at it for long.
    transaction.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
    // Without asking first, somebody who may not create schemas could not use one made for it.
    let schema = transaction.query("SELECT FROM pg_namespace WHERE nspname = 'parlour'", &[]).await?;
    if schema.is_empty() {
        transaction.batch_execute("CREATE SCHEMA parlour").await?;
    }
    transaction
        .batch_execute("CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)")
        .await?;
    let found = "SELECT coalesce(max(version), 0) FROM schema_version";
    let found: i32 = transaction.query_one(found, &[]).await?.try_get(0)?;
    for (version, sql) in (1_i32..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.batch_execute(sql).await?;
        transaction.execute("INSERT INTO schema_version VALUES ($1)", &[&version]).await?;
    }
    transaction.commit().await?;
    if found > known { Err(OpenError::NewerSchema { found, known }) } else { Ok(()) }
}

/// Refuses a schema that is not up to date, without changing it.
pub(super) async fn require(client: &Client) -> Result<(), OpenError> {
    let (known, found) = (MIGRATIONS.len() as i32, version(client).await?.unwrap_or(0));
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(OpenError::NewerSchema { found, known }),
        Ordering::Less => Err(OpenError::OlderSchema { found, known }),
    }
}

/// Returns the version of the schema; `None` where there is none yet.
async fn version(client: &Client) -> Result<Option<i32>, OpenError> {
    let table = "SELECT to_regclass('parlour.schema_version') IS NOT NULL";
    if !client.query_one(table, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let row = client.query_one("SELECT max(version) FROM parlour.schema_version", &[]).await?;
    Ok(row.try_get(0)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_migration_file_is_listed_in_its_place() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres/migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder of migrations")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
        assert_eq!(texts, MIGRATIONS);
        for (index, file) in files.iter().enumerate() {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(name.starts_with(&format!("{:04}_", index + 1)), "{name}");
        }
    }
}
