"""A dbt project of two snapshots, with the selects of our marts, for a comparison in one run."""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from psycopg import conninfo

from warehouse_jobs.marts import mart_names, read_mart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_TIMEOUT_SECONDS = 600

_SNAPSHOT = """
{{% snapshot {name} %}}
{{{{ config(
    target_schema='dbt', unique_key='{key}', strategy='check', check_cols='all', invalidate_hard_deletes=True
) }}}}
{select}
{{% endsnapshot %}}
"""


@dataclass(frozen=True, slots=True)
class DbtSnapshots:
    """A project in a temporary directory; the password goes to dbt in its profile there, which is then removed."""

    dbt: Path
    directory: Path

    @classmethod
    @contextmanager
    def project(cls, dbt: Path, dsn: str, as_of: datetime) -> Iterator[Self]:
        """Write the project for this database, with ``as_of`` in UTC as the parameters of the selects."""
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "snapshots").mkdir()
            (directory / "dbt_project.yml").write_text(
                json.dumps({"name": "marts", "version": "1.0.0", "profile": "marts"})
            )
            parameters = conninfo.conninfo_to_dict(dsn)
            target = {
                "type": "postgres",
                "host": parameters.get("host"),
                "port": int(str(parameters.get("port") or 5432)),
                "user": parameters.get("user"),
                "password": parameters.get("password") or "",
                "dbname": parameters.get("dbname"),
                "schema": "dbt",
                "threads": 1,
            }
            profile = {"marts": {"target": "warehouse", "outputs": {"warehouse": target}}}
            (directory / "profiles.yml").write_text(json.dumps(profile))
            for mart in map(read_mart, mart_names()):
                select = mart.sql.replace("%(as_of)s", f"'{as_of.isoformat()}'").replace("%(timezone)s", "'UTC'")
                text = _SNAPSHOT.format(name=mart.name, key=mart.key[0], select=select)
                (directory / "snapshots" / f"{mart.name}.sql").write_text(text)
            yield cls(dbt, directory)

    def run(self) -> float:
        """Run every snapshot once and return the seconds that they took in the database, without dbt's own start.

        Raises CalledProcessError when dbt fails; its output goes to ours.
        """
        here = ["--project-dir", str(self.directory), "--profiles-dir", str(self.directory)]
        command = [str(self.dbt), "--quiet", "--no-send-anonymous-usage-stats", "snapshot", *here]
        subprocess.run(command, check=True, cwd=self.directory, timeout=_TIMEOUT_SECONDS)  # noqa: S603 - the caller named it
        results = json.loads((self.directory / "target" / "run_results.json").read_text())["results"]
        return sum(float(result["execution_time"]) for result in results)
