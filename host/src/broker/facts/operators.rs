//! Which kinds and labels belong to operators that keep databases, queues and object stores.
//!
//! Such an operator answers a change of its pods or workloads in its own way (a failover, a re-creation from nothing), so the host changes none of them.

use serde_json::Value;

use crate::broker::object;

/// API groups, each with the project that owns it.
const GROUPS: &[&str] = &[
    "postgresql.cnpg.io",                // CloudNativePG, cloudnative-pg.io
    "acid.zalan.do",                     // Zalando Postgres operator, github.com/zalando/postgres-operator
    "postgres-operator.crunchydata.com", // Crunchy PGO, github.com/CrunchyData/postgres-operator
    "stackgres.io",                      // StackGres, stackgres.io
    "kubegres.reactive-tech.io",         // Kubegres, kubegres.io
    "pgv2.percona.com",                  // Percona Operator for PostgreSQL, github.com/percona/percona-postgresql-operator
    "pxc.percona.com",                   // Percona Operator for MySQL (XtraDB Cluster), github.com/percona/percona-xtradb-cluster-operator
    "ps.percona.com",                    // Percona Operator for MySQL (Percona Server), github.com/percona/percona-server-mysql-operator
    "psmdb.percona.com",                 // Percona Operator for MongoDB, github.com/percona/percona-server-mongodb-operator
    "mysql.oracle.com",                  // MySQL Operator, github.com/mysql/mysql-operator
    "mysql.presslabs.org",               // Bitpoke MySQL operator, github.com/bitpoke/mysql-operator
    "k8s.mariadb.com",                   // MariaDB operator, github.com/mariadb-operator/mariadb-operator
    "mariadb.mmontes.io",                // the same, before its move
    "planetscale.com",                   // Vitess operator, github.com/planetscale/vitess-operator
    "pingcap.com",                       // TiDB operator, github.com/pingcap/tidb-operator
    "crdb.cockroachlabs.com",            // CockroachDB operator, github.com/cockroachdb/cockroach-operator
    "yugabyte.com",                      // YugabyteDB operator, github.com/yugabyte/yugabyte-operator
    "mongodbcommunity.mongodb.com",      // MongoDB community operator, github.com/mongodb/mongodb-kubernetes
    "mongodb.com",                       // MongoDB enterprise operator, same place
    "redis.redis.opstreelabs.in",        // Redis operator, github.com/OT-CONTAINER-KIT/redis-operator
    "databases.spotahome.com",           // Redis operator, github.com/spotahome/redis-operator
    "app.redislabs.com",                 // Redis Enterprise, github.com/RedisLabs/redis-enterprise-k8s-docs
    "dragonflydb.io",                    // Dragonfly, github.com/dragonflydb/dragonfly-operator
    "valkey.io",                         // Valkey, github.com/valkey-io/valkey-operator
    "hyperspike.io",                     // Valkey, github.com/hyperspike/valkey-operator
    "kafka.strimzi.io",                  // Strimzi, strimzi.io
    "core.strimzi.io",                   // Strimzi's pod sets
    "platform.confluent.io",             // Confluent for Kubernetes, docs.confluent.io/operator
    "cluster.redpanda.com",              // Redpanda, github.com/redpanda-data/redpanda-operator
    "rabbitmq.com",                      // RabbitMQ, github.com/rabbitmq/cluster-operator
    "pulsar.streamnative.io",            // Pulsar, docs.streamnative.io/operator
    "zookeeper.pravega.io",              // ZooKeeper, github.com/pravega/zookeeper-operator
    "etcd.database.coreos.com",          // etcd, github.com/coreos/etcd-operator
    "operator.etcd.io",                  // etcd, github.com/etcd-io/etcd-operator
    "elasticsearch.k8s.elastic.co",      // ECK, github.com/elastic/cloud-on-k8s
    "opensearch.opster.io",              // OpenSearch, github.com/opensearch-project/opensearch-k8s-operator
    "opensearch.org",                    // the same, later
    "solr.apache.org",                   // Solr, solr.apache.org/operator
    "scylla.scylladb.com",               // Scylla, github.com/scylladb/scylla-operator
    "k8ssandra.io",                      // K8ssandra, k8ssandra.io
    "cassandra.datastax.com",            // cass-operator, github.com/k8ssandra/cass-operator
    "clickhouse.altinity.com",           // ClickHouse, github.com/Altinity/clickhouse-operator
    "clickhouse-keeper.altinity.com",    // ClickHouse Keeper, same place
    "druid.apache.org",                  // Druid, github.com/datainfrahq/druid-operator
    "arangodb.com",                      // ArangoDB, database.arangodb.com is a subgroup
    "couchbase.com",                     // Couchbase, docs.couchbase.com/operator
    "hazelcast.com",                     // Hazelcast, docs.hazelcast.com/operator
    "infinispan.org",                    // Infinispan, github.com/infinispan/infinispan-operator
    "apps.kubeblocks.io",                // KubeBlocks, kubeblocks.io
    "workloads.kubeblocks.io",           // KubeBlocks' instance sets
    "kubedb.com",                        // KubeDB, kubedb.com
    "minio.min.io",                      // MinIO, github.com/minio/operator
    "ceph.rook.io",                      // Rook, rook.io
    "longhorn.io",                       // Longhorn, longhorn.io
    "openebs.io",                        // OpenEBS, openebs.io
    "piraeus.io",                        // Piraeus and LINSTOR, github.com/piraeusdatastore/piraeus-operator
    "seaweed.seaweedfs.com",             // SeaweedFS, github.com/seaweedfs/seaweedfs-operator
];

/// Labels that these operators put on their pods and workloads, also where no owner reference says so.
const LABELS: &[&str] = &[
    "cnpg.io/cluster",                           // cloudnative-pg.io/docs, labels and annotations
    "cnpg.io/podRole",                           // the same
    "postgres-operator.crunchydata.com/cluster", // access.crunchydata.com/documentation/postgres-operator
    "mysql.oracle.com/cluster",                  // github.com/mysql/mysql-operator
    "strimzi.io/cluster",                        // strimzi.io/docs/operators
    "elasticsearch.k8s.elastic.co/cluster-name", // github.com/elastic/cloud-on-k8s
    "scylla/cluster",                            // github.com/scylladb/scylla-operator
    "cassandra.datastax.com/cluster",            // github.com/k8ssandra/cass-operator
    "k8ssandra.io/cluster-name",                 // k8ssandra.io
    "v1.min.io/tenant",                          // github.com/minio/operator
    "rook_cluster",                              // rook.io
    "ceph_daemon_id",                            // rook.io
    "clickhouse.altinity.com/chi",               // github.com/Altinity/clickhouse-operator
    "opster.io/opensearch-cluster",              // github.com/opensearch-project/opensearch-k8s-operator
    "planetscale.com/cluster",                   // github.com/planetscale/vitess-operator
    "kubedb.com/kind",                           // kubedb.com
    "stackgres.io/cluster-name",                 // stackgres.io
];

/// Labels that mean it with one value only.
const VALUES: &[(&str, &str)] = &[
    ("application", "spilo"),                  // github.com/zalando/postgres-operator, default cluster_labels
    ("app.kubernetes.io/part-of", "rabbitmq"), // github.com/rabbitmq/cluster-operator
    ("app.kubernetes.io/managed-by", "cloudnative-pg"),
    ("app.kubernetes.io/managed-by", "mysql-operator"),
    ("app.kubernetes.io/managed-by", "percona-server-mongodb-operator"),
    ("app.kubernetes.io/managed-by", "percona-xtradb-cluster-operator"),
    ("app.kubernetes.io/managed-by", "percona-postgresql-operator"),
    ("app.kubernetes.io/managed-by", "strimzi-cluster-operator"),
    ("app.kubernetes.io/managed-by", "tidb-operator"),
    ("app.kubernetes.io/managed-by", "kubeblocks"),
    ("app.kubernetes.io/managed-by", "scylla-operator"),
    ("app.kubernetes.io/managed-by", "cass-operator"),
    ("app.kubernetes.io/managed-by", "redis-operator"),
];

/// True for an API group of such an operator, or one below it.
pub(super) fn owns_group(group: &str) -> bool {
    GROUPS.iter().any(|known| group == *known || group.strip_suffix(known).is_some_and(|rest| rest.ends_with('.')))
}

/// True if the object's own labels say that it belongs to such an operator.
pub(super) fn marks(value: &Value) -> bool {
    LABELS.iter().any(|key| object::label(value, key).is_some())
        || VALUES.iter().any(|(key, wanted)| object::label(value, key) == Some(*wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{marks, owns_group};

    #[test]
    fn groups_match_exactly_or_below() {
        for group in ["postgresql.cnpg.io", "ceph.rook.io", "database.arangodb.com", "kafka.strimzi.io"] {
            assert!(owns_group(group), "{group}");
        }
        for group in ["", "apps", "cert-manager.io", "evilrabbitmq.com", "ceph.rook.io.example.com"] {
            assert!(!owns_group(group), "{group}");
        }
    }

    #[test]
    fn labels_mark_what_has_no_owner_reference() {
        assert!(marks(&json!({"metadata": {"labels": {"cnpg.io/cluster": "main"}}})));
        assert!(marks(&json!({"metadata": {"labels": {"application": "spilo"}}})));
        assert!(!marks(&json!({"metadata": {"labels": {"application": "web", "app.kubernetes.io/managed-by": "Helm"}}})));
        assert!(!marks(&json!({"metadata": {}})));
    }
}
