package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
)

// Whatever an author writes in the place of a connection, it is the name or the plain URL of one, or it is refused by name.
func TestAConfigHoldsNoCredentialAndNoWayToOne(t *testing.T) {
	t.Parallel()
	for warehouse, want := range map[string]string{
		"${env:DRAWBRIDGE_SECRET_WAREHOUSE}":                             "no reference to one: ${env:DRAWBRIDGE_SECRET_WAREHOUSE}",
		"postgres://u:${env:DRAWBRIDGE_SECRET_WAREHOUSE}@evil.example/x": "no reference to one: ${env:DRAWBRIDGE_SECRET_WAREHOUSE}",
		"postgres://${file:/run/secrets/pw}@evil.example/x":              "no reference to one: ${file:/run/secrets/pw}",
		"host=evil.example user=${env:PW}":                               "no reference to one: ${env:PW}",
		"postgres://u:hunter2@db/x":                                      "the password is written out",
		"postgres://u@db/x?password=hunter2":                             "the password is written out",
		"host=db password=hunter2":                                       "the password is written out",
		"postgres://u@db/x?passfile=/run/secrets/pgpass":                 "takes no passfile=",
		"postgres://u@db/x?sslmode=require&sslkey=/run/secrets/key":      "takes no sslkey=",
		"postgres://u@db/x?service=prod":                                 "takes no service=",
		"postgres://u@db/x?servicefile=/etc/services":                    "takes no servicefile=",
		"postgres://u@db/x?sslrootcert=/etc/ca":                          "takes no sslrootcert=",
		"postgres://u@db/x?sslcert=/etc/cert":                            "takes no sslcert=",
		"postgres://u@db/x?host=evil.example":                            "takes no host=",
		"postgres://u@db/x?options=-crole%3Dnone":                        "takes no options=",
		"service=prod":                      "takes no service=",
		"passfile = /run/secrets/pgpass":    "takes no passfile=",
		"host=db dbname=x":                  "takes no host=",
		"postgres://u@db/x?sslmode=disable": "must be the name of a connection",
		"mysql://u@db/x":                    "must be the name of a connection",
		"postgres:///x":                     "must be the name of a connection",
	} {
		_, err := pipeline.ParseConfig("config.prod.yaml", []byte("warehouse: '"+warehouse+"'\nwarehouse_schema: shop\n"))
		require.ErrorContains(t, err, want, warehouse)
		require.ErrorContains(t, err, "config.prod.yaml:1:12: warehouse: ")
		require.Equal(t, fault.Invalid, fault.ClassOf(err))
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), "evil")
	}
	for _, warehouse := range []string{"warehouse", "reporting_2", "postgres://u@db/x", "postgresql://db:5433/x"} {
		_, err := pipeline.ParseConfig("config.prod.yaml", []byte("warehouse: '"+warehouse+"'\nwarehouse_schema: shop\n"))
		require.NoError(t, err, warehouse)
	}
}

func TestAConfigChoosesAmongThePolicysConnections(t *testing.T) {
	t.Parallel()
	policy, err := pipeline.ParsePolicy("policy.prod.yaml", []byte(`connections:
  warehouse: {url: "postgres://runner@DB.internal/warehouse?sslmode=verify-full", password: "${file:/run/secrets/pw}", schemas: {write: [shop]}}
  second: {url: "postgres://u:${env:PW}@db.internal:5433/warehouse"}
  third: {url: "${env:WHOLE}"}
`))
	require.NoError(t, err)
	choose := func(warehouse, schema string) (string, error) {
		return policy.ConnectionName(pipeline.Config{Environment: "prod", Warehouse: warehouse, WarehouseSchema: schema})
	}
	for warehouse, want := range map[string]string{
		"warehouse": "warehouse", "second": "second", "third": "third",
		"postgres://runner@db.internal:5432/warehouse": "warehouse", "postgresql://db.internal/warehouse": "warehouse",
		"postgres://u@db.internal:5433/warehouse": "second",
	} {
		got, err := choose(warehouse, "shop")
		require.NoError(t, err, warehouse)
		require.Equal(t, want, got)
	}
	for _, warehouse := range []string{
		"fourth", "", "postgres://runner@db.internal/other", "postgres://other@db.internal/warehouse", "postgres://runner@evil.example/warehouse",
		"postgres://runner@db.internal:5434/warehouse", "postgres://runner@db.internal.evil.example/warehouse", "${env:WHOLE}",
	} {
		_, err := choose(warehouse, "shop")
		require.Equal(t, fault.Refused, fault.ClassOf(err), warehouse)
		require.Contains(t, fault.HintOf(err), "second or third or warehouse")
	}
	_, err = choose("warehouse", "shop_prod")
	require.Equal(t, fault.Refused, fault.ClassOf(err), "another environment's schema")
	require.ErrorContains(t, err, "shop_prod")
	_, err = choose("second", "anything")
	require.NoError(t, err, "without a list any schema will do; the ledger knows whose it is")
}

func TestWithoutPolicyThereIsOneConnection(t *testing.T) {
	t.Parallel()
	policy, err := pipeline.DefaultPolicy("dev")
	require.NoError(t, err)
	config, err := pipeline.ParseConfig("config.dev.yaml", []byte("warehouse_schema: shop_dev\n"))
	require.NoError(t, err)
	name, err := policy.ConnectionName(config)
	require.NoError(t, err)
	require.Equal(t, "${env:DRAWBRIDGE_WAREHOUSE}", policy.Connections[name].URL)
}
